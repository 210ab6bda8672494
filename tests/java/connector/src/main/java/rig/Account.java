package rig;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One account as the journal leaves it; immutable, so a search may go on while others write. */
final class Account {
    final String uid;
    final Map<String, List<String>> attributes;

    private Account(String uid, Map<String, List<String>> attributes) {
        this.uid = uid;
        this.attributes = Collections.unmodifiableMap(attributes);
    }

    /** The account after one journal line; before is null for a new one. A name given several times has several values. */
    static Account after(Account before, String uid, String[] fields, int from) {
        Map<String, List<String>> written = new LinkedHashMap<>();
        for (int i = from; i < fields.length; i++) {
            int eq = fields[i].indexOf('=');
            List<String> values = written.computeIfAbsent(fields[i].substring(0, eq), k -> new ArrayList<>());
            if (eq + 1 < fields[i].length()) values.add(fields[i].substring(eq + 1));
        }
        Map<String, List<String>> all = new LinkedHashMap<>();
        if (before != null) all.putAll(before.attributes);
        all.putAll(written);
        return new Account(uid, all);
    }

    String first(String name) {
        List<String> values = attributes.get(name);
        return values == null || values.isEmpty() ? null : values.get(0);
    }
}
