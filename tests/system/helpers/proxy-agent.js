// usage: node proxy-agent.js PROXY_URL URL: gets URL with https-proxy-agent.
const https = require('https');
const agentModule = require('https-proxy-agent');

const [proxy, url] = process.argv.slice(2);
const HttpsProxyAgent = agentModule.HttpsProxyAgent || agentModule;
const request = https.get(url, {agent: new HttpsProxyAgent(proxy)}, (response) => {
  if (response.statusCode !== 200) {
    console.error(`${response.statusCode} ${response.statusMessage}`);
    process.exitCode = 1;
  }
  response.pipe(process.stdout);
});
request.on('error', (error) => { console.error(error.message); process.exitCode = 1; });
