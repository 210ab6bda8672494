package rig;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.identityconnectors.framework.common.exceptions.ConnectorIOException;

/**
 * The store of the rig: an append-only file, one line a write, "SEQ \t OP \t UID \t NAME=VALUE... \t by=MEMBER", shared by the
 * processes of a group under a file lock. What a line says happened, happened once; a test counts lines.
 */
final class Journal {
    private static final ConcurrentMap<String, Journal> OPEN = new ConcurrentHashMap<>();

    private final Path path;
    /** Bytes of the file that are already in entries; the file only grows. */
    private long consumed;
    private final List<String[]> entries = new ArrayList<>();
    private final Map<String, Account> accounts = new LinkedHashMap<>();

    private Journal(Path path) { this.path = path; }

    static Journal of(String file) { return OPEN.computeIfAbsent(file, f -> new Journal(Paths.get(f))); }

    /** Decides, with the accounts as they are, what is written: "OP \t UID \t fields", or throws. */
    interface Write {
        String line(Map<String, Account> accounts);
    }

    synchronized void append(Write write) {
        try (FileChannel file = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                FileLock held = file.lock()) {
            catchUp(file);
            String line = (entries.size() + 1) + "\t" + write.line(accounts) + "\n";
            file.position(consumed);
            file.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)));
            catchUp(file);
        } catch (IOException e) {
            throw new ConnectorIOException("store cannot be written: " + e.getMessage(), e);
        }
    }

    synchronized List<Account> accounts() {
        read();
        return new ArrayList<>(accounts.values());
    }

    synchronized Account account(String uid) {
        read();
        return accounts.get(uid);
    }

    synchronized List<String[]> entries() {
        read();
        return new ArrayList<>(entries);
    }

    private void read() {
        if (!path.toFile().exists()) return;
        try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
            catchUp(file);
        } catch (IOException e) {
            throw new ConnectorIOException("store cannot be read: " + e.getMessage(), e);
        }
    }

    /** Takes in the whole lines that were added since the last look. A line without its end is a write still under way. */
    private void catchUp(FileChannel file) throws IOException {
        ByteBuffer added = ByteBuffer.allocate((int) (file.size() - consumed));
        while (added.hasRemaining() && file.read(added, consumed + added.position()) > 0) { }
        int end = added.position();
        while (end > 0 && added.get(end - 1) != '\n') end--;
        if (end == 0) return;
        consumed += end;
        for (String line : new String(added.array(), 0, end, StandardCharsets.UTF_8).split("\n")) {
            String[] fields = line.split("\t");
            entries.add(fields);
            if (fields[1].equals("DELETE")) accounts.remove(fields[2]);
            else accounts.put(fields[2], Account.after(accounts.get(fields[2]), fields[2], fields, 3));
        }
    }
}
