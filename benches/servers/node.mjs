// The API of benches/connections in Node: an answer takes 10 ms. Arguments: kind, port, certificate, key.
import fs from 'fs';
import http from 'http';
import http2 from 'http2';

const [, , kind, port, cert, key] = process.argv;
const answer = (request, response) => setTimeout(() => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ sku: request.url.split('/').pop() }));
}, 10);

let server;
if (kind === 'goaway-50') {
  server = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, answer);
  server.on('session', (session) => {
    let streams = 0;
    session.on('stream', () => { if (++streams === 50) session.goaway(); });
  });
} else {
  server = http.createServer(answer);
  if (kind === 'max-20') server.maxConnections = 20;
}
server.listen(+port, '127.0.0.1');
