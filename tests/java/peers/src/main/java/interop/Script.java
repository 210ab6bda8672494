package interop;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.forgerock.openicf.framework.ConnectorFramework;
import org.forgerock.openicf.framework.async.AsyncConnectorInfoManager;
import org.identityconnectors.common.ConnectorKeyRange;
import org.identityconnectors.common.security.GuardedString;
import org.identityconnectors.framework.api.*;
import org.identityconnectors.framework.impl.api.remote.RemoteWrappedException;
import org.identityconnectors.framework.common.objects.*;
import org.identityconnectors.framework.common.objects.filter.Filter;
import org.identityconnectors.framework.common.objects.filter.FilterBuilder;

/** The commands of an IDM, one a line, each answered with one line "ok ..." or "err CLASS: MESSAGE"; README.md lists them. */
final class Script {
    private static final OperationOptions NONE = new OperationOptionsBuilder().build();
    /** A little less than the tests wait for an answer, so that they see the reason. */
    private static final int WAIT_SECONDS = 170;

    private final ConnectorFramework framework;
    private final Supplier<List<ConnectorInfo>> infos;
    /** Where facades are bound, so that a balancer is really used; null binds them to the member that answered first. */
    private final AsyncConnectorInfoManager manager;
    private ObjectClass objectClass = ObjectClass.ACCOUNT;
    private ConnectorFacade facade;

    Script(ConnectorFramework framework, Supplier<List<ConnectorInfo>> infos, AsyncConnectorInfoManager manager) {
        this.framework = framework;
        this.infos = infos;
        this.manager = manager;
    }

    void run(InputStream in) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            List<String> words = Arrays.asList(line.trim().split("\\s+"));
            if (words.get(0).equals("quit")) return;
            System.out.println(answer(words));
            System.out.flush();
        }
    }

    private String answer(List<String> words) {
        try {
            return "ok " + command(words.get(0), words.subList(1, words.size()));
        } catch (Throwable t) {
            return "err " + kind(t) + ": " + String.valueOf(t.getMessage()).replace('\n', ' ');
        }
    }

    /** An error from the far side is always a RemoteWrappedException; what IDM looks at is the class it names. */
    static String kind(Throwable t) {
        if (!(t instanceof RemoteWrappedException)) return t.getClass().getSimpleName();
        String remote = ((RemoteWrappedException) t).getExceptionClass();
        return "RemoteWrappedException(" + remote.substring(remote.lastIndexOf('.') + 1) + ")";
    }

    private String command(String name, List<String> w) throws Exception {
        switch (name) {
        case "connectors": return connectors(number(w, 0, 1), number(w, 1, WAIT_SECONDS));
        case "use": return use(w.get(0), w.subList(1, w.size()));
        case "class": objectClass = new ObjectClass(w.get(0)); return w.get(0);
        case "validate": facade.validate(); return "";
        case "test": facade.test(); return "";
        case "schema": return schema(facade.schema());
        case "create": return text(facade.create(objectClass, Words.attributes(w), NONE));
        case "update": return text(facade.update(objectClass, new Uid(w.get(0)), values(w), NONE));
        case "add": return text(facade.addAttributeValues(objectClass, new Uid(w.get(0)), values(w), NONE));
        case "remove": return text(facade.removeAttributeValues(objectClass, new Uid(w.get(0)), values(w), NONE));
        case "delete": facade.delete(objectClass, new Uid(w.get(0)), NONE); return "";
        case "get": return Words.show(facade.getObject(objectClass, new Uid(w.get(0)), NONE));
        case "auth": return text(facade.authenticate(objectClass, w.get(0), new GuardedString(w.get(1).toCharArray()), NONE));
        case "resolve": return text(facade.resolveUsername(objectClass, w.get(0), NONE));
        case "script": return String.valueOf(facade.runScriptOnConnector(script(w.get(0)), NONE));
        case "size": return String.valueOf(String.valueOf(facade.runScriptOnConnector(script("bytes%20" + w.get(0)), NONE)).length());
        case "token": return text(facade.getLatestSyncToken(objectClass));
        case "sync": return sync(w.isEmpty() ? null : token(w.get(0)));
        case "search": return search(w);
        case "load": return new Load(facade, objectClass, w).run();
        default: throw new IllegalArgumentException("unknown command " + name);
        }
    }

    /** The connector keys, once there are at least so many: the framework adds them one by one. */
    private String connectors(int atLeast, int seconds) throws Exception {
        List<ConnectorInfo> known = await("at least " + atLeast + " connectors", seconds, () -> infos.get().size() >= atLeast ? infos.get() : null);
        List<String> keys = known.stream().map(ConnectorInfo::getConnectorKey)
                .map(Script::shown).sorted().collect(Collectors.toList());
        return keys.size() + " " + String.join(" ", keys);
    }

    private static String shown(ConnectorKey key) { return key.getBundleName() + "/" + key.getBundleVersion() + "/" + key.getConnectorName(); }

    private String use(String name, List<String> properties) throws Exception {
        String connector = name.split("@")[0];
        ConnectorInfo info = await("a connector like " + connector, WAIT_SECONDS, () -> infos.get().stream()
                .filter(i -> shown(i.getConnectorKey()).contains(connector)).findFirst().orElse(null));
        String range = name.substring(Math.min(name.length(), connector.length() + 1));
        if (!range.isEmpty()) info = inRange(info.getConnectorKey(), range);
        else if (manager != null) info = manager.findConnectorInfoAsync(info.getConnectorKey()).getOrThrow(WAIT_SECONDS, TimeUnit.SECONDS);
        APIConfiguration configuration = info.createDefaultAPIConfiguration();
        for (String word : properties) {
            String[] pair = Words.pair(word);
            ConfigurationProperty property = configuration.getConfigurationProperties().getProperty(pair[0]);
            if (property == null) throw new IllegalArgumentException("no property " + pair[0]);
            property.setValue(typed(property.getType(), pair[1]));
        }
        facade = framework.newInstance(configuration);
        return range.isEmpty() ? connector : connector + " " + info.getConnectorKey().getBundleVersion();
    }

    /** As IDM resolves a connectorRef whose bundleVersion is a range: by the framework, against the connectors that it knows. */
    private ConnectorInfo inRange(ConnectorKey like, String range) throws Exception {
        ConnectorKeyRange wanted = ConnectorKeyRange.newBuilder().setBundleName(like.getBundleName())
                .setConnectorName(like.getConnectorName()).setBundleVersion(range).build();
        return manager.findConnectorInfoAsync(wanted).getOrThrow(WAIT_SECONDS, TimeUnit.SECONDS);
    }

    private interface Look<T> { T look(); }

    private static int number(List<String> words, int at, int otherwise) { return words.size() > at ? Integer.parseInt(words.get(at)) : otherwise; }

    private static <T> T await(String what, int seconds, Look<T> look) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        for (T found = look.look(); ; found = look.look()) {
            if (found != null) return found;
            if (System.nanoTime() > end) throw new IllegalStateException("not " + what + " within " + seconds + " s");
            Thread.sleep(20);
        }
    }

    private static Object typed(Class<?> type, String text) {
        if (type == File.class) return new File(text);
        if (type == long.class || type == Long.class) return Long.valueOf(text);
        if (type == int.class || type == Integer.class) return Integer.valueOf(text);
        if (type == boolean.class || type == Boolean.class) return Boolean.valueOf(text);
        if (type == char.class || type == Character.class) return text.charAt(0);
        if (type == GuardedString.class) return new GuardedString(text.toCharArray());
        if (type == String[].class) return text.split(",");
        return text;
    }

    private static Set<Attribute> values(List<String> words) { return Words.attributes(words.subList(1, words.size())); }

    private static ScriptContext script(String text) { return new ScriptContext("groovy", Words.decode(text), new HashMap<>()); }

    private static String text(Uid uid) { return uid == null ? "none" : uid.getUidValue(); }

    private static String text(SyncToken token) { return token == null ? "none" : String.valueOf(token.getValue()); }

    /** "7" is a Long, "s:7" the string "7": connectors make tokens of either. */
    private static SyncToken token(String text) { return new SyncToken(text.startsWith("s:") ? text.substring(2) : (Object) Long.valueOf(text)); }

    /** CLASS(name:flags,...) with everything sorted, so that two servers' schemas can be compared as lines. */
    private static String schema(Schema schema) {
        TreeSet<String> classes = new TreeSet<>();
        for (ObjectClassInfo oc : schema.getObjectClassInfo()) {
            TreeSet<String> attributes = new TreeSet<>();
            for (AttributeInfo a : oc.getAttributeInfo())
                attributes.add(a.getName() + ":" + a.getType().getSimpleName() + new TreeSet<>(a.getFlags()).stream().map(f -> ":" + f).collect(Collectors.joining()));
            classes.add(oc.getType() + "(" + String.join(",", attributes) + ")");
        }
        return classes.size() + " object classes " + String.join(" ", classes);
    }

    private String sync(SyncToken from) {
        List<String> deltas = new ArrayList<>();
        SyncToken last = facade.sync(objectClass, from, d -> deltas.add(d.getDeltaType() + ":" + d.getUid().getUidValue()), NONE);
        return deltas.size() + " " + text(last) + " " + String.join(" ", deltas);
    }

    private String search(List<String> words) {
        int stop = Integer.MAX_VALUE;
        boolean rows = false, any = false;
        long[] stall = { 0 };
        OperationOptionsBuilder options = new OperationOptionsBuilder();
        Filter filter = null;
        for (String word : words) {
            String value = word.substring(word.indexOf('=') + 1);
            if (word.startsWith("stop=")) stop = Integer.parseInt(value);
            else if (word.startsWith("stall=")) stall[0] = Long.parseLong(value);
            else if (word.startsWith("page=")) options.setPageSize(Integer.valueOf(value));
            else if (word.startsWith("cookie=")) options.setPagedResultsCookie(Words.decode(value));
            else if (word.startsWith("offset=")) options.setPagedResultsOffset(Integer.valueOf(value));
            else if (word.startsWith("sort=")) options.setSortKeys(sortKeys(value));
            else if (word.startsWith("attrs=")) options.setAttributesToGet(value.split(","));
            else if (word.equals("rows")) rows = true;
            else if (word.equals("any")) any = true;
            else filter = join(filter, Words.filter(word), any);
        }
        return search(filter, options.build(), rows, stop, stall);
    }

    private static Filter join(Filter left, Filter right, boolean any) {
        if (left == null) return right;
        return any ? FilterBuilder.or(left, right) : FilterBuilder.and(left, right);
    }

    /** "+" or nothing in front of a name sorts up, "-" down. */
    private static SortKey[] sortKeys(String text) {
        return Arrays.stream(text.split(",")).map(k -> new SortKey(k.replaceFirst("^[+-]", ""), !k.startsWith("-"))).toArray(SortKey[]::new);
    }

    private String search(Filter filter, OperationOptions options, boolean rows, int stop, long[] stall) {
        List<String> seen = new ArrayList<>();
        String result;
        try {
            SearchResult end = facade.search(objectClass, filter, object -> {
                seen.add(rows ? "[" + Words.show(object) + "]" : object.getUid().getUidValue());
                once(stall);
                return seen.size() < stop;
            }, options);
            result = "cookie=" + (end == null ? "none" : end.getPagedResultsCookie());
        } catch (CancellationException e) {
            result = "cookie=none cancelled";
        }
        return seen.size() + " " + result + (seen.size() <= 50 ? " " + String.join(" ", seen) : " " + digest(seen));
    }

    /** Makes this caller slow to take its results, once. It does not stall the socket: the framework's queue is unbounded. */
    private static void once(long[] stall) {
        if (stall[0] == 0) return;
        try {
            Thread.sleep(stall[0]);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        stall[0] = 0;
    }

    /** Many rows in a few characters: first, last, and whether each followed the one before ("u9" before "u10"). */
    private static String digest(List<String> seen) {
        Comparator<String> natural = Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder());
        boolean ordered = true;
        for (int i = 1; i < seen.size(); i++) ordered &= natural.compare(seen.get(i - 1), seen.get(i)) < 0;
        return seen.get(0) + ".." + seen.get(seen.size() - 1) + (ordered ? " ordered" : " unordered");
    }
}
