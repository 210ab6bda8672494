package interop;

import java.io.File;
import java.net.URI;
import java.net.URL;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.X509TrustManager;
import org.forgerock.openicf.framework.*;
import org.forgerock.openicf.framework.async.AsyncConnectorInfoManager;
import org.forgerock.openicf.framework.client.ClientRemoteConnectorInfoManager;
import org.forgerock.openicf.framework.client.RemoteConnectorInfoManager;
import org.forgerock.openicf.framework.client.RemoteWSFrameworkConnectionInfo;
import org.forgerock.openicf.framework.remote.*;
import org.identityconnectors.common.security.GuardedString;
import org.identityconnectors.framework.api.ConnectorInfoManager;

/**
 * One end of the real protocol, on the published OpenICF framework. Roles (see README.md):
 * rcs-server, an RCS that listens; rcs-client, an RCS that dials; idm-client, an IDM that dials RCS; idm-connect, one connection of such
 * an IDM; idm-server, an IDM that RCS in client mode dial. Every role ends when its standard input does, so nothing outlives a killed test.
 */
public final class Peer {
    /** Held for ever: the framework closes itself once this reference is collected. */
    private static ReferenceCountedObject<ConnectorFramework>.Reference reference;

    public static void main(String[] args) throws Exception {
        Options options = new Options(args);
        if (System.getProperty("org.identityconnectors.common.logging.class") == null)
            System.setProperty("org.identityconnectors.common.logging.class", "org.identityconnectors.common.logging.impl.NoOpLogger");
        reference = new ConnectorFrameworkFactory().acquire();
        run(reference.get(), options);
        System.exit(0);
    }

    private static void run(ConnectorFramework framework, Options options) throws Exception {
        switch (options.role) {
        case "rcs-server":
            framework.getLocalManager().addConnectorBundle(bundles(options.required("bundles")));
            System.out.println("ready " + new Listener(framework, options).start());
            while (System.in.read() >= 0) { }
            break;
        case "rcs-client":
            framework.getLocalManager().addConnectorBundle(bundles(options.required("bundles")));
            for (String url : options.required("url").split("[ ,]")) framework.getRemoteManager(target(options, url));
            System.out.println("ready");
            while (System.in.read() >= 0) { }
            break;
        case "idm-client": {
            AsyncConnectorInfoManager manager = dial(framework, options);
            new Script(framework, ((ConnectorInfoManager) manager)::getConnectorInfos, manager).run(System.in);
            break;
        }
        case "idm-connect":
            System.out.println(connected(framework, target(options, options.required("url"))));
            while (System.in.read() >= 0) { }
            break;
        case "idm-server": {
            Listener listener = new Listener(framework, options);
            System.out.println("ready " + listener.start());
            new Script(framework, listener::connectorInfos, null).run(System.in);
            break;
        }
        default:
            throw new IllegalArgumentException("unknown role " + options.role);
        }
    }

    /** What became of one connection, and after how many milliseconds: the form of the framework's own testConnectionException. */
    private static String connected(ConnectorFramework framework, RemoteWSFrameworkConnectionInfo target) {
        RemoteConnectorInfoManager manager = framework.getRemoteConnectionInfoManagerFactory().connect(target);
        long begin = System.nanoTime();
        String outcome = "ok";
        try {
            ((ClientRemoteConnectorInfoManager) manager).connect().getOrThrow(60, TimeUnit.SECONDS);
        } catch (Throwable t) {
            outcome = "err " + Script.kind(t) + ": " + String.valueOf(t.getMessage()).replace('\n', ' ');
        }
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin) + " " + outcome;
    }

    /** One URL: a plain remote manager. Several: the framework's own balancer over them, the peer to beat. */
    private static AsyncConnectorInfoManager dial(ConnectorFramework framework, Options options) throws Exception {
        String[] urls = options.required("url").split(",");
        if (urls.length == 1) return framework.getRemoteManager(target(options, urls[0]));
        LoadBalancingAlgorithmFactory algorithm = options.get("algorithm", "failover").equals("failover")
                ? new FailoverLoadBalancingAlgorithmFactory()
                : new RoundRobinLoadBalancingAlgorithmFactory();
        for (String url : urls) algorithm.addAsyncRemoteConnectorInfoManager(framework.getRemoteManager(target(options, url)));
        return framework.getRemoteManager(algorithm);
    }

    private static RemoteWSFrameworkConnectionInfo target(Options options, String url) throws Exception {
        RemoteWSFrameworkConnectionInfo.Builder b = RemoteWSFrameworkConnectionInfo.newBuilder()
                .setRemoteURI(URI.create(url))
                .setPrincipal(options.get("principal", ConnectionPrincipal.DEFAULT_NAME))
                .setPassword(new GuardedString(options.get("password", "changeit").toCharArray()));
        if (url.startsWith("wss")) b.setTrustManagers(Collections.singletonList(new TrustAll()));
        stores(options);
        return b.build();
    }

    /** The stores of a dialler are those of its JVM: the published dialler does not ask the trust managers that it is given. */
    private static void stores(Options options) throws Exception {
        for (String[] store : new String[][] {{"keystore", "keyStore"}, {"truststore", "trustStore"}}) {
            if (!options.has(store[0])) continue;
            System.setProperty("javax.net.ssl." + store[1], options.required(store[0]));
            System.setProperty("javax.net.ssl." + store[1] + "Password", options.get("storepass", "changeit"));
            System.setProperty("javax.net.ssl." + store[1] + "Type", "PKCS12");
        }
    }

    private static List<URL> bundles(String directories) throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String directory : directories.split(",")) {
            File[] jars = new File(directory).listFiles((x, name) -> name.endsWith(".jar"));
            if (jars == null) throw new IllegalArgumentException("no such bundle directory: " + directory);
            Arrays.sort(jars);
            for (File jar : jars) urls.add(jar.toURI().toURL());
        }
        return urls;
    }

    /** Test peers only: accepts any certificate. */
    private static final class TrustAll implements X509TrustManager {
        @Override public void checkClientTrusted(X509Certificate[] chain, String type) { }
        @Override public void checkServerTrusted(X509Certificate[] chain, String type) { }
        @Override public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
    }
}
