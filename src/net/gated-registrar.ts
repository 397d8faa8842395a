/**
 * Gated registrar: keeps strangers from libp2p's own services (identify, ping, gossipsub).
 *
 * libp2p 3 has a hook for this, `libp2p.use(protocol, middleware)`, but its connection pushes the handler onto that very
 * array at each inbound stream (connection.js, 3.3.11), so the second stream would run the first one's handler again.
 * So each service gets a registrar that checks membership, each time again, before its handler and its topology.
 */
import type { GossipSubComponents } from '@libp2p/gossipsub';
import type { PeerId, StreamHandler, Topology } from '@libp2p/interface';

type Registrar = GossipSubComponents['registrar'];

/** @param admits asked at every inbound stream and every new peer: may it reach this service now? */
export function gatedRegistrar(registrar: Registrar, admits: (peer: PeerId) => boolean): Registrar {
  const gatedHandler =
    (handler: StreamHandler): StreamHandler =>
    (stream, connection) => {
      if (admits(connection.remotePeer)) return handler(stream, connection);
      stream.abort(new Error('refused: not a member'));
    };
  const gatedTopology = (topology: Topology): Topology => ({
    ...topology,
    onConnect: (peer, connection) => {
      if (admits(peer)) return topology.onConnect?.(peer, connection);
    },
  });
  return {
    getProtocols: () => registrar.getProtocols(),
    getHandler: protocol => registrar.getHandler(protocol),
    getTopologies: protocol => registrar.getTopologies(protocol),
    handle: (protocol, handler, options) => registrar.handle(protocol, gatedHandler(handler), options),
    unhandle: (protocols, options) => registrar.unhandle(protocols, options),
    register: (protocol, topology, options) => registrar.register(protocol, gatedTopology(topology), options),
    unregister: id => registrar.unregister(id),
    use: (protocol, middleware) => registrar.use(protocol, middleware),
    unuse: protocol => registrar.unuse(protocol),
    getMiddleware: protocol => registrar.getMiddleware(protocol),
  };
}
