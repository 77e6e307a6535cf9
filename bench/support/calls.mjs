// Commands to another process of the benchmark and their answers, over the channel that fork() gives. Other messages on
// the same channel (contenders use it too) are ignored.

/** Carries out the commands that arrive on `channel`. */
export function answerCalls(channel, commands) {
  // Messages that arrive while a module loads are lost, so the other side waits for this one.
  channel.send({ bench: { ready: true } });
  channel.on('message', async (message) => {
    const { command, id, argument } = message?.bench ?? {};
    if (command === undefined) return;
    try {
      channel.send({ bench: { id, result: await commands[command](argument) } });
    } catch (error) {
      channel.send({ bench: { id, error: `${command}: ${error?.stack ?? error}` } });
    }
  });
}

/** A function that sends a command to `child` and resolves to its result. */
export function callsTo(child, name) {
  const waiting = new Map();
  const early = [];
  let ready = false;
  let lastId = 0;
  child.on('message', (message) => {
    const { id, result, error } = message?.bench ?? {};
    if (message?.bench?.ready) {
      ready = true;
      for (const command of early.splice(0)) child.send(command);
    }
    if (!waiting.has(id)) return;
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(`${name}: ${error}`));
  });
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} ended with ${signal ?? `code ${code}`}`));
    waiting.clear();
  });
  return (command, argument) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      waiting.set(id, { resolve, reject });
      const message = { bench: { id, command, argument } };
      if (ready) child.send(message);
      else early.push(message);
    });
}
