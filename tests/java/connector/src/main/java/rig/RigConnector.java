package rig;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.identityconnectors.common.security.GuardedString;
import org.identityconnectors.framework.common.exceptions.*;
import org.identityconnectors.framework.common.objects.*;
import org.identityconnectors.framework.common.objects.filter.*;
import org.identityconnectors.framework.spi.*;
import org.identityconnectors.framework.spi.operations.*;

/**
 * A connector whose every effect can be counted: its store is a {@link Journal}. Every object read carries the attribute
 * servedBy, the value of the JVM's system property rig.member, so a test sees which member answered.
 */
@ConnectorClass(configurationClass = RigConfiguration.class, displayNameKey = "rig.connector.display")
public class RigConnector implements Connector, TestOp, CreateOp, UpdateOp, DeleteOp, SchemaOp, SearchOp<String>, SyncOp,
        AuthenticateOp, ResolveUsernameOp, ScriptOnConnectorOp {
    private static final String MEMBER = System.getProperty("rig.member", "?");
    /** Who gets this account ends the process, where drills are allowed. */
    private static final String POISON = "poison";
    /** Searches that run in this process now. */
    private static final AtomicInteger RUNNING = new AtomicInteger();
    private RigConfiguration config;
    private Journal journal;

    @Override public Configuration getConfiguration() { return config; }
    @Override public void init(Configuration c) {
        config = (RigConfiguration) c;
        journal = Journal.of(config.getStoreFile());
    }
    @Override public void dispose() { }

    @Override public void test() {
        pause();
        if (config.getDownFile() != null && Files.exists(Paths.get(config.getDownFile() + "." + MEMBER)))
            throw new ConnectionFailedException("the resource behind " + MEMBER + " is down");
    }

    @Override public Schema schema() {
        ObjectClassInfoBuilder account = new ObjectClassInfoBuilder();
        account.addAttributeInfo(AttributeInfoBuilder.build("mail"));
        account.addAttributeInfo(new AttributeInfoBuilder("role").setMultiValued(true).build());
        account.addAttributeInfo(AttributeInfoBuilder.build("servedBy"));
        account.addAttributeInfo(OperationalAttributeInfos.PASSWORD);
        SchemaBuilder schema = new SchemaBuilder(RigConnector.class);
        schema.defineObjectClass(account.build());
        return schema.build();
    }

    @Override public Uid create(ObjectClass oc, Set<Attribute> attributes, OperationOptions options) {
        pause();
        Name name = AttributeUtil.getNameFromAttributes(attributes);
        if (name == null) throw new InvalidAttributeValueException("an account needs a name");
        String uid = name.getNameValue();
        journal.append(accounts -> {
            if (accounts.containsKey(uid)) throw new AlreadyExistsException("account " + uid + " exists");
            return "CREATE\t" + uid + fields(attributes);
        });
        return new Uid(uid);
    }

    @Override public Uid update(ObjectClass oc, Uid uid, Set<Attribute> attributes, OperationOptions options) {
        pause();
        journal.append(accounts -> {
            if (!accounts.containsKey(uid.getUidValue())) throw new UnknownUidException(uid, oc);
            return "UPDATE\t" + uid.getUidValue() + fields(attributes);
        });
        return uid;
    }

    @Override public void delete(ObjectClass oc, Uid uid, OperationOptions options) {
        pause();
        journal.append(accounts -> {
            if (!accounts.containsKey(uid.getUidValue())) throw new UnknownUidException(uid, oc);
            return "DELETE\t" + uid.getUidValue() + "\tby=" + MEMBER;
        });
    }

    /** Only an equality on the uid is the connector's own; every other filter is applied by the framework. */
    @Override public FilterTranslator<String> createFilterTranslator(ObjectClass oc, OperationOptions options) {
        return new AbstractFilterTranslator<String>() {
            @Override protected String createEqualsExpression(EqualsFilter filter, boolean not) {
                boolean byUid = !not && filter.getAttribute().is(Uid.NAME);
                return byUid ? AttributeUtil.getAsStringValue(filter.getAttribute()) : null;
            }
        };
    }

    /** Pages carry state on the member, as real connectors' do: the cookie is "MEMBER:OFFSET" and another member refuses it. */
    @Override public void executeQuery(ObjectClass oc, String uid, ResultsHandler handler, OperationOptions options) {
        if (POISON.equals(uid) && config.getFaultFolder() != null) Runtime.getRuntime().halt(1);
        RUNNING.incrementAndGet();
        try {
            find(uid, handler, options);
        } finally {
            RUNNING.decrementAndGet();
        }
    }

    private void find(String uid, ResultsHandler handler, OperationOptions options) {
        pause();
        int from = offset(options.getPagedResultsCookie());
        int size = options.getPageSize() == null ? Integer.MAX_VALUE : options.getPageSize();
        List<Account> found = uid == null ? journal.accounts() : only(journal.account(uid));
        int next = from;
        while (next < found.size() && next - from < size) {
            if (!handler.handle(object(found.get(next)))) return;
            sleep(config.getRowMillis());
            next++;
        }
        if (handler instanceof SearchResultsHandler) {
            String cookie = next < found.size() ? MEMBER + ":" + next : null;
            ((SearchResultsHandler) handler).handleResult(new SearchResult(cookie, -1));
        }
    }

    @Override public SyncToken getLatestSyncToken(ObjectClass oc) { return new SyncToken((long) journal.entries().size()); }

    @Override public void sync(ObjectClass oc, SyncToken token, SyncResultsHandler handler, OperationOptions options) {
        pause();
        if (!(token.getValue() instanceof Long)) throw new InvalidAttributeValueException("a token is a Long, not " + token.getValue());
        long from = (Long) token.getValue();
        List<String[]> entries = journal.entries();
        for (long seq = from + 1; seq <= entries.size(); seq++) {
            String[] entry = entries.get((int) seq - 1);
            if (!handler.handle(delta(oc, seq, entry[1], entry[2]))) return;
        }
    }

    @Override public Uid authenticate(ObjectClass oc, String user, GuardedString password, OperationOptions options) {
        pause();
        Account account = journal.account(user);
        if (account == null || !clear(password).equals(account.first(OperationalAttributes.PASSWORD_NAME)))
            throw new InvalidPasswordException("wrong user name or password");
        return new Uid(user);
    }

    @Override public Uid resolveUsername(ObjectClass oc, String user, OperationOptions options) {
        if (journal.account(user) == null) throw new UnknownUidException("no account " + user);
        return new Uid(user);
    }

    /** Answers "MEMBER:TEXT": shows where a script ran. "bytes N" answers N characters instead, for large frames; "running" the number of searches that run on this member. */
    @Override public Object runScriptOnConnector(ScriptContext request, OperationOptions options) {
        pause();
        String text = request.getScriptText();
        if (text.equals("running")) return String.valueOf(RUNNING.get());
        return text.startsWith("bytes ") ? "x".repeat(Integer.parseInt(text.substring(6))) : MEMBER + ":" + text;
    }

    /** What every operation begins with: is the resource there, and how long does it take. */
    private void pause() {
        sleep(config.getDelayMillis());
        if (config.getFaultFolder() == null) return;
        Path faults = Paths.get(config.getFaultFolder(), MEMBER);
        sleep(slow(faults.resolve("slow")));
        if (Files.exists(faults.resolve("down"))) throw new ConnectionFailedException("the resource behind " + MEMBER + " is down");
    }

    /** The milliseconds that a file says; 0 without it, or while it is being written or removed. */
    private static long slow(Path file) {
        try {
            String text = Files.exists(file) ? Files.readString(file).trim() : "";
            return text.isEmpty() ? 0 : Long.parseLong(text);
        } catch (IOException e) {
            return 0;
        }
    }

    private static void sleep(long millis) {
        if (millis <= 0) return;
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new OperationTimeoutException("interrupted");
        }
    }

    private static String fields(Set<Attribute> attributes) {
        Map<String, List<Object>> sorted = new TreeMap<>();
        for (Attribute a : attributes)
            if (!a.is(Name.NAME) && !a.is(Uid.NAME)) sorted.put(a.getName(), a.getValue() == null ? List.of() : a.getValue());
        StringBuilder line = new StringBuilder();
        sorted.forEach((name, values) -> {
            if (values.isEmpty()) line.append('\t').append(name).append('=');
            for (Object v : values) line.append('\t').append(name).append('=').append(v instanceof GuardedString ? clear((GuardedString) v) : v);
        });
        return line.append("\tby=").append(MEMBER).toString();
    }

    private static String clear(GuardedString secret) {
        StringBuilder text = new StringBuilder();
        secret.access(text::append);
        return text.toString();
    }

    private static ConnectorObject object(Account account) {
        ConnectorObjectBuilder b = new ConnectorObjectBuilder().setUid(account.uid).setName(account.uid);
        Map<String, List<String>> shown = new LinkedHashMap<>(account.attributes);
        shown.remove(OperationalAttributes.PASSWORD_NAME);
        shown.remove("by");
        shown.forEach((name, values) -> b.addAttribute(name, values));
        return b.addAttribute("servedBy", MEMBER).build();
    }

    private SyncDelta delta(ObjectClass oc, long seq, String op, String uid) {
        SyncDeltaBuilder delta = new SyncDeltaBuilder().setToken(new SyncToken(seq)).setUid(new Uid(uid)).setObjectClass(oc);
        Account now = journal.account(uid);
        if (op.equals("DELETE") || now == null) return delta.setDeltaType(SyncDeltaType.DELETE).build();
        SyncDeltaType type = op.equals("CREATE") ? SyncDeltaType.CREATE : SyncDeltaType.UPDATE;
        return delta.setDeltaType(type).setObject(object(now)).build();
    }

    private static List<Account> only(Account account) { return account == null ? List.of() : List.of(account); }

    private static int offset(String cookie) {
        if (cookie == null || cookie.isEmpty()) return 0;
        int colon = cookie.indexOf(':');
        String maker = colon < 0 ? "nobody" : cookie.substring(0, colon);
        if (!maker.equals(MEMBER)) throw new InvalidAttributeValueException("paged search cookie of " + maker + " sent to " + MEMBER);
        return Integer.parseInt(cookie.substring(colon + 1));
    }
}
