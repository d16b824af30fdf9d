// soup_peer.js: the npm package soupbintcp as a peer. SPDX-License-Identifier: MIT
//
// node soup_peer.js client PORT USER PASSWORD COUNT HEX...   sends the messages, prints COUNT sequenced ones, logs out
// node soup_peer.js server SESSION NEED=REPLY...             prints its port, then each message; a message that begins
//                                                            with NEED is answered by REPLY (hexadecimal, both)
'use strict';

const soup = require('soupbintcp');
const [mode, ...args] = process.argv.slice(2);

if (mode === 'client') {
  const [port, username, password, count, ...messages] = args;
  let left = Number(count);
  const client = new soup.Client({ host: '127.0.0.1', port: Number(port) }, () => {
    client.login({ username, password, requestedSession: '', requestedSequenceNumber: 1 });
  });
  client.on('accept', (payload) => {
    console.log(`accept ${payload.sequenceNumber}`);
    for (const message of messages) client.send(Buffer.from(message, 'hex'));
  });
  client.on('reject', (payload) => { console.log(`reject ${payload.rejectReasonCode}`); client.end(); });
  client.on('message', (payload) => {
    console.log(payload.toString('hex'));
    if (--left === 0) client.logout();
  });
  client.on('error', (error) => { console.error(String(error)); process.exit(1); });
  client.on('end', () => { console.log('end'); process.exit(0); });
} else {
  const [session, ...rules] = args;
  const replies = rules.map((rule) => rule.split('='));
  const server = new soup.Server({ host: '127.0.0.1', port: 0 }, () => console.log(server.address().port));
  server.on('session', (peer) => {
    peer.on('login', (payload) => {
      console.log(`login ${payload.username} ${payload.requestedSequenceNumber}`);
      peer.accept({ session, sequenceNumber: 1 });
    });
    peer.on('message', (payload) => {
      const text = payload.toString('hex');
      console.log(text);
      for (const [need, reply] of replies) if (text.startsWith(need)) peer.send(Buffer.from(reply, 'hex'));
    });
    peer.on('logout', () => { console.log('logout'); peer.end(); });
    peer.on('end', () => process.exit(0));
    peer.on('error', (error) => { console.error(String(error)); process.exit(1); });
  });
}
