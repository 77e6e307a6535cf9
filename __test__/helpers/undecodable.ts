import { Form, native } from '../../ts/native.ts';
import type { AnyCache } from './roles.ts';

/** What no version of V8 can read. */
const BYTES = Buffer.from([0xff, 0x0f, 0x99, 0x99]);

/** Stores bytes under `key` that cannot be decoded, as another version of Node.js may have written them. */
export async function storeUndecodable(cache: AnyCache, key: string | number): Promise<void> {
  await cache.ready;
  const { link, handle, policy } = cache as any;
  const operation = {
    number: native.OperationNumber.Set,
    scope: 'Key',
    writes: true,
    since: 0,
    valueAt: -1,
    optionsAt: -1,
    withoutHost: false,
    read: () => true,
    write(frame: any) {
      frame.key(key);
      frame.value({ form: Form.V8, payload: BYTES });
    },
  };
  await link.ask(link.nextId(), handle, operation, policy, key);
}
