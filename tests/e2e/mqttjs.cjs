// A device in JavaScript: connects, subscribes, publishes to itself, and prints what it heard as JSON.
const fs = require("fs");
const mqtt = require("mqtt");

const [url, ca, cert, key, clientId, version, topic] = process.argv.slice(2);
const client = mqtt.connect(url, {
  ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key),
  clientId, protocolVersion: Number(version), reconnectPeriod: 0, connectTimeout: 10000,
});
const heard = [];

client.on("error", (error) => { console.error(error.message); process.exit(1); });
client.on("message", (name, payload, packet) => {
  heard.push({ topic: name, payload: payload.toString(), qos: packet.qos,
               user: { ...(packet.properties || {}).userProperties } });
  if (heard.length === 3) client.end(false, () => { console.log(JSON.stringify(heard)); });
});
client.on("connect", async () => {
  const granted = await client.subscribeAsync(topic, { qos: 2 });
  if (granted[0].qos > 2) { console.error("denied"); process.exit(3); }
  const properties = version === "5" ? { properties: { userProperties: { site: "berlin" } } } : {};
  for (const qos of [0, 1, 2]) await client.publishAsync(topic, `qos ${qos}`, { qos, ...properties });
});
