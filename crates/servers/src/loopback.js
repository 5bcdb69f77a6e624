// Loaded before a server that would listen on every address: makes it listen on 127.0.0.1 alone.
"use strict";

const net = require("node:net");
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (first, ...rest) {
  const callbacks = rest.filter((argument) => typeof argument === "function");
  const port = first !== null && typeof first === "object" ? first.port : first;
  return listen.call(this, { port, host: "127.0.0.1" }, ...callbacks);
};
