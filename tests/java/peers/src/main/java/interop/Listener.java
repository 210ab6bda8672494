package interop;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.*;
import org.forgerock.openicf.common.protobuf.RPCMessages.HandshakeMessage;
import org.forgerock.openicf.framework.ConnectorFramework;
import org.forgerock.openicf.framework.client.RemoteWSFrameworkConnectionInfo;
import org.forgerock.openicf.framework.remote.*;
import org.forgerock.openicf.framework.remote.rpc.*;
import org.forgerock.util.promise.Promises;
import org.glassfish.grizzly.http.HttpRequestPacket;
import org.glassfish.grizzly.http.server.HttpServer;
import org.glassfish.grizzly.http.server.NetworkListener;
import org.glassfish.grizzly.ssl.SSLContextConfigurator;
import org.glassfish.grizzly.ssl.SSLEngineConfigurator;
import org.glassfish.grizzly.websockets.*;
import org.glassfish.grizzly.websockets.frametypes.PingFrameType;
import org.glassfish.grizzly.websockets.frametypes.PongFrameType;
import org.identityconnectors.framework.api.ConnectorInfo;
import org.identityconnectors.framework.common.exceptions.ConnectorIOException;

/** The accepting side of the protocol: WebSocket upgrades on /openicf and below, Basic authentication, one session a peer. */
final class Listener extends WebSocketApplication {
    private static final String PROTOCOL = RemoteWSFrameworkConnectionInfo.OPENICF_PROTOCOL;

    private final Options options;
    private final ConcurrentMap<String, WebSocketConnectionGroup> sessions = new ConcurrentHashMap<>();
    private final Party party;

    Listener(ConnectorFramework framework, Options options) {
        this.options = options;
        party = new Party(new OpenICFServerAdapter(framework, framework.getLocalManager(), false), sessions);
        long every = Long.parseLong(options.get("check-seconds", "240"));
        ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(work -> {
            Thread thread = new Thread(work, "session-check");
            thread.setDaemon(true);
            return thread;
        });
        timer.scheduleWithFixedDelay(this::checkSessions, Math.min(60, every), every, TimeUnit.SECONDS);
    }

    /** Starts to listen and answers the port, which --port 0 leaves to the system. */
    int start() throws Exception {
        String usual = options.role.equals("idm-server") ? "8080" : "8759";
        int port = Integer.parseInt(options.get("port", usual));
        NetworkListener net = new NetworkListener("openicf", options.get("address", "127.0.0.1"), port);
        if (options.has("keystore")) {
            SSLContextConfigurator ssl = new SSLContextConfigurator();
            ssl.setKeyStoreFile(options.required("keystore"));
            ssl.setKeyStorePass(options.get("storepass", "changeit"));
            ssl.setKeyStoreType("PKCS12");
            boolean asks = options.has("truststore");
            if (asks) {
                ssl.setTrustStoreFile(options.required("truststore"));
                ssl.setTrustStorePass(options.get("storepass", "changeit"));
                ssl.setTrustStoreType("PKCS12");
            }
            net.setSecure(true);
            net.setSSLEngineConfig(new SSLEngineConfigurator(ssl, false, asks, false));
        }
        net.registerAddOn(new WebSocketAddOn());
        WebSocketEngine.getEngine().register("", "/openicf", this);
        for (int i = 0; i < 3; i++) WebSocketEngine.getEngine().register("", "/openicf/" + i, this);
        HttpServer http = new HttpServer();
        http.addListener(net);
        http.start();
        return net.getPort();
    }

    List<ConnectorInfo> connectorInfos() {
        List<ConnectorInfo> all = new ArrayList<>();
        for (WebSocketConnectionGroup session : sessions.values())
            if (session.isOperational()) all.addAll(session.getConnectorInfos());
        return all;
    }

    @Override public List<String> getSupportedProtocols(List<String> offered) {
        return offered.contains(PROTOCOL) ? Collections.singletonList(PROTOCOL) : Collections.emptyList();
    }

    @Override public WebSocket createSocket(ProtocolHandler handler, HttpRequestPacket request, WebSocketListener... more) {
        String pair = options.get("principal", "anonymous") + ":" + options.get("password", "changeit");
        String expected = "Basic " + Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.ISO_8859_1));
        if (!expected.equals(request.getHeader("Authorization"))) throw new HandshakeException(403, "wrong principal or password");
        return new Socket(handler, request, party, more);
    }

    private void checkSessions() {
        for (WebSocketConnectionGroup session : sessions.values())
            if (!session.checkIsActive()) sessions.remove(session.getRemoteSessionId());
    }

    private static final class Party extends ConnectionPrincipal<Party> {
        Party(OperationMessageListener listener, ConcurrentMap<String, WebSocketConnectionGroup> sessions) { super(listener, sessions); }
        @Override protected void doClose() { }
    }

    /** One accepted socket: hands its frames to the framework, and the framework's frames to the wire. */
    private static final class Socket extends DefaultWebSocket {
        private final Party party;
        private final Holder holder = new Holder();

        Socket(ProtocolHandler handler, HttpRequestPacket request, Party party, WebSocketListener... listeners) {
            super(handler, request, listeners);
            this.party = party;
        }

        private OperationMessageListener framework() { return party.getOperationMessageListener(); }

        @Override public void onConnect() {
            super.onConnect();
            framework().onConnect(holder);
        }
        @Override public void onMessage(byte[] bytes) {
            super.onMessage(bytes);
            framework().onMessage(holder, bytes);
        }
        @Override public void onPing(DataFrame frame) {
            super.onPing(frame);
            framework().onPing(holder, frame.getBytes());
        }
        @Override public void onPong(DataFrame frame) {
            super.onPong(frame);
            framework().onPong(holder, frame.getBytes());
        }
        @Override public void onClose(DataFrame frame) {
            super.onClose(frame);
            framework().onClose(holder, ((ClosingFrame) frame).getCode(), ((ClosingFrame) frame).getReason());
            holder.close();
        }

        private final class Holder extends WebSocketConnectionHolder {
            private volatile RemoteOperationContext context;

            @Override protected void handshake(HandshakeMessage message) { context = party.handshake(this, message); }
            @Override public boolean isOperational() { return isConnected(); }
            @Override public RemoteOperationContext getRemoteConnectionContext() { return context; }
            @Override public Future<?> sendBytes(byte[] bytes) { return isConnected() ? protocolHandler.send(bytes) : closed(); }
            @Override public Future<?> sendString(String text) { return isConnected() ? protocolHandler.send(text) : closed(); }
            @Override public void sendPing(byte[] bytes) { protocolHandler.send(new DataFrame(new PingFrameType(), bytes)); }
            @Override public void sendPong(byte[] bytes) { protocolHandler.send(new DataFrame(new PongFrameType(), bytes)); }
            @Override protected void tryClose() { Socket.this.close(); }

            private Future<?> closed() { return Promises.newExceptionPromise(new ConnectorIOException("socket closed")); }
        }
    }
}
