// usage: node forward.js PROXY_URL URL [agent]: gets URL through the proxy, with http.request alone or with
// the package that most Node programs use for this.
const http = require('http');

const [proxy, url, agent] = process.argv.slice(2);
function shown(response) {
  if (response.statusCode !== 200) {
    console.error(`${response.statusCode} ${response.statusMessage}`);
    process.exitCode = 1;
  }
  response.pipe(process.stdout);
}
let request;
if (agent) {
  const agentModule = require('http-proxy-agent');
  const HttpProxyAgent = agentModule.HttpProxyAgent || agentModule;
  request = http.get(url, {agent: new HttpProxyAgent(proxy)}, shown);
} else {
  const {hostname, port} = new URL(proxy);
  request = http.get({hostname, port, path: url, headers: {Host: new URL(url).host}}, shown);
}
request.on('error', (error) => { console.error(error.message); process.exitCode = 1; });
