package interop;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.identityconnectors.common.security.GuardedString;
import org.identityconnectors.framework.common.objects.*;
import org.identityconnectors.framework.common.objects.filter.Filter;
import org.identityconnectors.framework.common.objects.filter.FilterBuilder;

/** The words of a command line: NAME=VALUE pairs as attributes, filters and options. %20 and the like stand for odd characters. */
final class Words {
    private Words() { }

    static String decode(String word) { return URLDecoder.decode(word.replace("+", "%2B"), StandardCharsets.UTF_8); }

    /** Attributes from NAME=VALUE words; a name given several times has several values, NAME= alone has none. */
    static Set<Attribute> attributes(List<String> words) {
        Map<String, List<Object>> byName = new LinkedHashMap<>();
        for (String word : words) {
            String[] pair = pair(word);
            List<Object> values = byName.computeIfAbsent(pair[0], k -> new ArrayList<>());
            if (!pair[1].isEmpty()) values.add(pair[1]);
        }
        Set<Attribute> set = new HashSet<>();
        byName.forEach((name, values) -> set.add(attribute(name, values)));
        return set;
    }

    static String[] pair(String word) {
        int eq = word.indexOf('=');
        if (eq < 1) throw new IllegalArgumentException("expected NAME=VALUE, not " + word);
        return new String[] { word.substring(0, eq), decode(word.substring(eq + 1)) };
    }

    /** One condition: [!]NAME OP VALUE without blanks, where OP is = ^= (starts) $= (ends) ~= (contains) > >= < <=. */
    static Filter filter(String word) {
        if (word.startsWith("!")) return FilterBuilder.not(filter(word.substring(1)));
        for (String op : new String[] { "^=", "$=", "~=", ">=", "<=", ">", "<", "=" }) {
            int at = word.indexOf(op);
            if (at > 0) return condition(op, attribute(word.substring(0, at), List.of(decode(word.substring(at + op.length())))));
        }
        throw new IllegalArgumentException("not a filter: " + word);
    }

    private static Filter condition(String op, Attribute a) {
        switch (op) {
        case "^=": return FilterBuilder.startsWith(a);
        case "$=": return FilterBuilder.endsWith(a);
        case "~=": return FilterBuilder.contains(a);
        case ">=": return FilterBuilder.greaterThanOrEqualTo(a);
        case "<=": return FilterBuilder.lessThanOrEqualTo(a);
        case ">": return FilterBuilder.greaterThan(a);
        case "<": return FilterBuilder.lessThan(a);
        default: return FilterBuilder.equalTo(a);
        }
    }

    private static Attribute attribute(String name, List<Object> values) {
        switch (name) {
        case "name":
            return new Name((String) values.get(0));
        case "uid":
            return new Uid((String) values.get(0));
        case "password":
            return AttributeBuilder.buildPassword(((String) values.get(0)).toCharArray());
        default:
            return AttributeBuilder.build(name, values);
        }
    }

    /** An object on one line: uid, then its attributes by name. The name is shown if it is not the uid. */
    static String show(ConnectorObject object) {
        if (object == null) return "absent";
        TreeMap<String, String> sorted = new TreeMap<>();
        for (Attribute a : object.getAttributes()) {
            boolean shown = !a.is(Uid.NAME) && !(a.is(Name.NAME) && object.getName().getNameValue().equals(object.getUid().getUidValue()));
            if (shown) sorted.put(a.getName(), values(a));
        }
        StringBuilder line = new StringBuilder(object.getUid().getUidValue());
        sorted.forEach((name, values) -> line.append(' ').append(name).append('=').append(values));
        return line.toString();
    }

    private static String values(Attribute a) {
        if (a.getValue() == null) return "null";
        StringJoiner all = new StringJoiner("|");
        for (Object v : a.getValue()) all.add(v instanceof GuardedString ? "guarded:" + clear((GuardedString) v) : String.valueOf(v));
        return all.toString();
    }

    /** Test peers show secrets: a test must see whether the right one arrived. */
    private static String clear(GuardedString secret) {
        StringBuilder text = new StringBuilder();
        secret.access(text::append);
        return text.toString();
    }
}
