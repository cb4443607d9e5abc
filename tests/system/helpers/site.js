// usage: node site.js PORT LOG: a server of Node's http that writes a line for each request: method, host,
// target. A request that its parser refuses is a line too, but for one that was cut short.
const fs = require('fs');
const http = require('http');

const [port, file] = process.argv.slice(2);
const log = fs.openSync(file, 'a');
const server = http.createServer((request, response) => {
  fs.writeSync(log, `${request.method} ${request.headers.host} ${request.url}\n`);
  request.resume();
  request.on('end', () => response.end('ok'));
});
server.on('clientError', (error, socket) => {
  if (!['ECONNRESET', 'HPE_INVALID_EOF_STATE'].includes(error.code)) fs.writeSync(log, `REFUSED ${error.code}\n`);
  socket.destroy();
});
server.listen(Number(port), '0.0.0.0');
