// usage: node connect.js PROXY_HOST PROXY_PORT HOST PORT [NAME]: gets /hello over TLS through the proxy, as
// proxy agents for Node do it; with NAME in the ClientHello where it is given.
const http = require('http');
const tls = require('tls');

const [proxyHost, proxyPort, host, port, name = host] = process.argv.slice(2);
const target = `${host}:${port}`;

const request = http.request({
  host: proxyHost, port: proxyPort, method: 'CONNECT', path: target, headers: {Host: target},
});
request.on('error', (error) => { console.error(error.message); process.exit(1); });
request.on('connect', (response, socket) => {
  if (response.statusCode !== 200) {
    console.error(`${response.statusCode} ${response.statusMessage}`);
    process.exit(1);
  }
  const secure = tls.connect({socket, servername: name}, () => {
    secure.write(`GET /hello HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  });
  secure.on('error', (error) => { console.error(error.message); process.exit(1); });
  secure.pipe(process.stdout);
});
request.end();
