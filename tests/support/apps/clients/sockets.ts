// The application's WebSockets: what comes is sent back, and `close` closes with a code of the application's own.
import type { Server } from 'node:http';
import { WebSocketServer } from 'ws';

export function serveSockets(server: Server): void {
  let heard = 0;
  const sockets = new WebSocketServer({
    server,
    // The platform's values never come here; `chat` is one of the application's own.
    handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
  });
  sockets.on('connection', (socket, request) => {
    socket.on('error', () => {});
    socket.send(JSON.stringify({ offered: request.headers['sec-websocket-protocol'] ?? '', heard }));
    socket.on('message', (data, isBinary) => {
      heard += 1;
      if (!isBinary && String(data) === 'close') socket.close(4321, 'as you wish');
      else socket.send(data, { binary: isBinary });
    });
  });
}
