// usage: node clients.js PROXY_HOST PROXY_PORT HOST PORT COUNT: COUNT connections through the proxy, ten
// at a time, each used once.
const http = require('http');

const [host, port, to, toPort, count] = process.argv.slice(2);
const target = `${to}:${toPort}`;
let left = Number(count);

function fail(message) {
  console.error(message);
  process.exit(1);
}

function next() {
  if (left-- <= 0) return;
  const request = http.request({host, port, method: 'CONNECT', path: target, headers: {Host: target}, agent: false});
  request.on('error', (error) => fail(error.message));
  request.on('connect', (response, socket) => {
    if (response.statusCode !== 200) fail(`${response.statusCode} ${response.statusMessage}`);
    socket.once('data', (data) => {
      if (data.toString() !== 'hello') fail(`got ${data}`);
      console.log('good');
      socket.on('close', next);
      socket.end();
    });
    socket.write('hello');
  });
  request.end();
}

for (let i = 0; i < 10; ++i) next();
