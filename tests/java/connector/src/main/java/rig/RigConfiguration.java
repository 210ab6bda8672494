package rig;

import org.identityconnectors.common.security.GuardedString;
import org.identityconnectors.framework.spi.AbstractConfiguration;
import org.identityconnectors.framework.spi.ConfigurationProperty;

/** Configuration of the rig connector. Members of a group that are given the same storeFile see the same accounts. */
public class RigConfiguration extends AbstractConfiguration {
    private String storeFile;
    private long delayMillis;
    private String downFile;
    private GuardedString secret;
    private String[] tags = new String[0];
    private long rowMillis;
    private String faultFolder;

    /** The journal that all members of a group share. */
    @ConfigurationProperty(order = 1, required = true)
    public String getStoreFile() { return storeFile; }
    public void setStoreFile(String v) { storeFile = v; }

    /** Every operation but validate takes at least this long. */
    @ConfigurationProperty(order = 2)
    public long getDelayMillis() { return delayMillis; }
    public void setDelayMillis(long v) { delayMillis = v; }

    /** While a file "DOWNFILE.MEMBER" exists, this member's test operation fails: a dead resource behind a live server. */
    @ConfigurationProperty(order = 3)
    public String getDownFile() { return downFile; }
    public void setDownFile(String v) { downFile = v; }

    /** Never used: shows that a secret travels in the facade key and in nothing else. */
    @ConfigurationProperty(order = 4, confidential = true)
    public GuardedString getSecret() { return secret; }
    public void setSecret(GuardedString v) { secret = v; }

    /** Never used: a property with several values. */
    @ConfigurationProperty(order = 5)
    public String[] getTags() { return tags; }
    public void setTags(String[] v) { tags = v; }

    /** A search rests this long behind each row, so that many can run at once for as long as a test needs. */
    @ConfigurationProperty(order = 6)
    public long getRowMillis() { return rowMillis; }
    public void setRowMillis(long v) { rowMillis = v; }

    /**
     * What is to go wrong in drills, said by files that come and go: while FAULTFOLDER/MEMBER/down exists every operation but validate fails; while
     * FAULTFOLDER/MEMBER/slow does each takes as many more milliseconds as it says; and a get of the uid "poison" ends the process.
     */
    @ConfigurationProperty(order = 7)
    public String getFaultFolder() { return faultFolder; }
    public void setFaultFolder(String v) { faultFolder = v; }

    @Override
    public void validate() {
        if (storeFile == null || storeFile.isEmpty()) throw new IllegalArgumentException("storeFile is required");
    }
}
