package interop;

import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.identityconnectors.framework.api.ConnectorFacade;
import org.identityconnectors.framework.common.objects.*;

/** "load OP[+OP...] CONC SECONDS [U [NAME]]": a closed loop of CONC threads, after one second of warm-up; answers one JSON object. */
final class Load {
    private static final OperationOptions NONE = new OperationOptionsBuilder().build();
    /** A call that takes longer than this after the end of the run counts as hung. */
    private static final long GRACE_MILLIS = 90_000;
    private static final int SAMPLES = 1 << 17;
    /** After an error a caller pauses, so that a dead far side is not hammered. */
    private static final long PAUSE_NANOS = 2_000_000;

    private final ConnectorFacade facade;
    private final ObjectClass objectClass;
    private final String op;
    /** One for each thread in turn. */
    private final String[] ops;
    private final int concurrency;
    private final double seconds;
    private final String uid;
    /** How the names of creates begin. */
    private final String name;

    private final AtomicLong ok = new AtomicLong();
    private final AtomicLong err = new AtomicLong();
    private final AtomicLong next = new AtomicLong();
    private final AtomicLong worst = new AtomicLong();
    private final ConcurrentMap<String, LongAdder> errors = new ConcurrentHashMap<>();
    private final ConcurrentMap<String, LongAdder> done = new ConcurrentHashMap<>();
    private final ConcurrentMap<String, LongAdder> served = new ConcurrentHashMap<>();
    private final Queue<long[]> samples = new ConcurrentLinkedQueue<>();

    Load(ConnectorFacade facade, ObjectClass objectClass, List<String> words) {
        this.facade = facade;
        this.objectClass = objectClass;
        op = words.get(0);
        ops = op.split("\\+");
        concurrency = Integer.parseInt(words.get(1));
        seconds = Double.parseDouble(words.get(2));
        uid = words.size() > 3 ? words.get(3) : "u0";
        name = words.size() > 4 ? words.get(4) : uid;
    }

    String run() throws Exception {
        long warm = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
        long end = warm + (long) (seconds * 1e9);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < concurrency; i++) {
            String own = ops[i % ops.length];
            Thread thread = new Thread(() -> loop(own, warm, end));
            thread.setDaemon(true);
            thread.start();
            threads.add(thread);
        }
        int hung = 0;
        for (Thread thread : threads) {
            thread.join(Math.max(1, (end - System.nanoTime()) / 1_000_000 + GRACE_MILLIS));
            if (thread.isAlive()) hung++;
        }
        return report(hung);
    }

    private void loop(String own, long warm, long end) {
        long[] mine = new long[SAMPLES];
        int n = 0;
        for (long start = System.nanoTime(); start < end; start = System.nanoTime()) {
            try {
                call(own);
                ok.incrementAndGet();
                done.computeIfAbsent(own, k -> new LongAdder()).increment();
                if (start > warm && n < mine.length) mine[n++] = System.nanoTime() - start;
            } catch (Throwable t) {
                err.incrementAndGet();
                errors.computeIfAbsent((ops.length > 1 ? own + " " : "") + Script.kind(t) + ": " + String.valueOf(t.getMessage()).split("\n")[0], k -> new LongAdder()).increment();
                LockSupport.parkNanos(PAUSE_NANOS);
            }
            worst.accumulateAndGet(System.nanoTime() - start, Math::max);
        }
        samples.add(Arrays.copyOf(mine, n));
    }

    private void call(String own) {
        switch (own) {
        case "validate": facade.validate(); break;
        case "test": facade.test(); break;
        case "schema": facade.schema(); break;
        case "get": {
            ConnectorObject object = facade.getObject(objectClass, new Uid(uid), NONE);
            Attribute by = object == null ? null : object.getAttributeByName("servedBy");
            if (by != null) served.computeIfAbsent(AttributeUtil.getStringValue(by), k -> new LongAdder()).increment();
            break;
        }
        case "create":
            facade.create(objectClass, Collections.singleton(new Name(name + "-" + next.incrementAndGet())), NONE);
            break;
        default: throw new IllegalArgumentException("no load of " + own);
        }
    }


    private String report(int hung) {
        long[] sorted = samples.stream().flatMapToLong(Arrays::stream).sorted().toArray();
        return String.format(Locale.ROOT, "{\"op\":\"%s\",\"conc\":%d,\"ok\":%d,\"err\":%d,\"hung_threads\":%d,\"rate\":%.0f,"
                + "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"worst_ms\":%.1f,\"done\":%s,\"served\":%s,\"errors\":%s}",
                op, concurrency, ok.get(), err.get(), hung, sorted.length / seconds,
                quantile(sorted, .5), quantile(sorted, .99), worst.get() / 1e6, json(done), json(served), json(errors));
    }

    private static String json(Map<String, LongAdder> counts) {
        StringJoiner all = new StringJoiner(",", "{", "}");
        new TreeMap<>(counts).forEach((k, n) -> all.add("\"" + k.replace("\\", "/").replace('"', '\'').replaceAll("\\p{Cntrl}", " ") + "\":" + n));
        return all.toString();
    }

    private static double quantile(long[] sorted, double p) {
        return sorted.length == 0 ? -1 : sorted[(int) Math.min(sorted.length - 1, (long) (p * sorted.length))] / 1e6;
    }
}
