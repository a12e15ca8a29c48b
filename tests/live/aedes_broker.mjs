// An aedes with every way in that it has: node aedes_broker.mjs '{"plain": 1883, ...}'. It ends with its standard input.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTlsServer } from 'node:tls'
import { Aedes } from 'aedes'
import { WebSocketServer, createWebSocketStream } from 'ws'

const asked = JSON.parse(process.argv[2])
const broker = await Aedes.createBroker()
broker.authenticate = (client, user, password, done) => {
  const isGuarded = client.conn.localPort === asked.password
  const isKnown = user === asked.user && String(password) === asked.secret
  const error = Object.assign(new Error('not let in'), { returnCode: 4 })
  done(isGuarded && !isKnown ? error : null, !isGuarded || isKnown)
}

createServer(broker.handle).listen(asked.plain, '127.0.0.1')
createServer(broker.handle).listen(asked.password, '127.0.0.1')
const papers = { ca: asked.ca, cert: asked.cert, key: asked.key }
const read = Object.fromEntries(Object.entries(papers).map(([name, path]) => [name, readFileSync(path)]))
createTlsServer({ ...read, requestCert: true, rejectUnauthorized: true }, broker.handle)
  .listen(asked.certificate, '127.0.0.1')
const web = createHttpServer()
new WebSocketServer({ server: web }).on('connection', (socket, request) => {
  broker.handle(createWebSocketStream(socket), request)
})
web.listen(asked.websocket, '127.0.0.1')
process.stdin.on('end', () => process.exit(0)).resume()
