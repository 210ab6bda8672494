package interop;

import java.util.HashMap;
import java.util.Map;

/** The command line: a role, then --name value pairs. */
final class Options {
    final String role;
    private final Map<String, String> map = new HashMap<>();

    Options(String[] args) {
        if (args.length == 0) throw new IllegalArgumentException("expected a role: rcs-server, rcs-client, idm-client or idm-server");
        role = args[0];
        for (int i = 1; i < args.length; i += 2) {
            if (!args[i].startsWith("--") || i + 1 == args.length) throw new IllegalArgumentException("expected --name value at " + args[i]);
            map.put(args[i].substring(2), args[i + 1]);
        }
    }

    boolean has(String name) { return map.containsKey(name); }
    String get(String name, String otherwise) { return map.getOrDefault(name, otherwise); }

    String required(String name) {
        if (!has(name)) throw new IllegalArgumentException("--" + name + " is required");
        return map.get(name);
    }
}
