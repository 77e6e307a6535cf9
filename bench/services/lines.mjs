/** Calls `onLine` with each line that arrives on `socket`. */
export function onLines(socket, onLine) {
  let parts = [];
  socket.setEncoding('utf8').on('data', (chunk) => {
    let from = 0;
    for (let end; (end = chunk.indexOf('\n', from)) !== -1; from = end + 1) {
      // Joined once per line: a line of 130 KiB comes in many pieces.
      parts.push(chunk.slice(from, end));
      onLine(parts.length === 1 ? parts[0] : parts.join(''));
      parts = [];
    }
    if (from < chunk.length) parts.push(chunk.slice(from));
  });
}
