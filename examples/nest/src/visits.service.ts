import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { ClusteredCache } from 'clustered-cache';

/** Counts for all processes of the application. */
@Injectable()
export class VisitsService implements OnModuleDestroy {
  readonly #cache = new ClusteredCache<string, number>({ namespace: 'visits' });

  get role(): string {
    return this.#cache.role;
  }

  count(): Promise<number> {
    return this.#cache.incr('total');
  }

  onModuleDestroy(): Promise<void> {
    return this.#cache.close();
  }
}
