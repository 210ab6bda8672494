//! Key stores that keytool does not make.

/// A Java program, `Other.java`, that makes of a store another one: the key's password is the third argument, and the fourth one says how many certificates of the chain are kept.
/// keytool makes no PKCS12 store whose key has a password of its own any more, but programs do.
pub const OTHER_STORE: &str = r#"
import java.io.*; import java.security.*;
public class Other { public static void main(String[] a) throws Exception {
  char[] store = "changeit".toCharArray();
  KeyStore from = KeyStore.getInstance("PKCS12");
  try (InputStream in = new FileInputStream(a[0])) { from.load(in, store); }
  KeyStore to = KeyStore.getInstance("PKCS12"); to.load(null, store);
  var chain = java.util.Arrays.copyOf(from.getCertificateChain("rcs"), Integer.parseInt(a[3]));
  to.setKeyEntry("rcs", from.getKey("rcs", store), a[2].toCharArray(), chain);
  try (OutputStream out = new FileOutputStream(a[1])) { to.store(out, store); }
} }
"#;
