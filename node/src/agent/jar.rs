//! What a connector bundle calls itself: the head of `META-INF/MANIFEST.MF` in a JAR.
//!
//! A reader of our own: a general one keeps the whole list of entries in memory, as long as the JAR says it is. This one reads the
//! list in pieces, at most [`JAR_LIST_BYTES`] of it, and unpacks at most [`JAR_MANIFEST_BYTES`].

use std::io;

use miniz_oxide::inflate::decompress_to_vec_with_limit;
use rcs_proto::limits::MANIFEST_TEXT_BYTES_MAX;
use rcs_proto::manifest::Bundle;

use crate::limits::{JAR_LIST_BYTES, JAR_MANIFEST_BYTES};

const NAME: &[u8] = b"META-INF/MANIFEST.MF";
/// Bytes of an entry in the list before its name, of an entry's own head, and of the record at the end.
const LISTED_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
const END_BYTES: usize = 22;
/// The longest comment behind that record.
const COMMENT_BYTES: usize = 0xffff;

/// Bytes at any place of a file.
pub(super) trait ReadAt {
    /// Fills the buffer from there on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for std::fs::File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

/// Name and version of the bundle; `None` if the file is no JAR, or not one of a connector bundle. What two files differ in
/// is told by their digests, so nothing depends on this but how a difference reads.
pub(super) fn bundle(jar: &impl ReadAt, length: u64) -> Option<Bundle> {
    let list = find_list(jar, length)?;
    let entry = find_manifest(jar, &list)?;
    let manifest = unpack(jar, &list, &entry)?;
    let name = attribute(&manifest, "ConnectorBundle-Name")?;
    let version = attribute(&manifest, "ConnectorBundle-Version")?;
    Some(Bundle { name, version })
}

/// The list of entries.
struct List {
    offset: u64,
    length: u64,
    /// What stands before the archive; offsets in it do not count that.
    prefix: u64,
}

struct Entry {
    method: u16,
    packed: u64,
    offset: u64,
}

fn find_list(jar: &impl ReadAt, length: u64) -> Option<List> {
    let tail_bytes = length.min((END_BYTES + COMMENT_BYTES) as u64);
    let tail_offset = length - tail_bytes;
    let mut tail = vec![0; usize::try_from(tail_bytes).ok()?];
    jar.read_exact_at(&mut tail, tail_offset).ok()?;
    // The comment must reach to the end of the file, or these four bytes only look like the record.
    let at = (0..=tail.len().checked_sub(END_BYTES)?).rev().find(|&at| {
        tail.get(at..at + 4) == Some(b"PK\x05\x06")
            && u16_at(&tail, at + 20) == Some((tail.len() - at - END_BYTES) as u16)
    })?;
    let list_bytes = u64::from(u32_at(&tail, at + 12)?);
    let stated = u64::from(u32_at(&tail, at + 16)?);
    let offset = (tail_offset + at as u64).checked_sub(list_bytes)?;
    Some(List { offset, length: list_bytes.min(JAR_LIST_BYTES), prefix: offset.checked_sub(stated)? })
}

fn find_manifest(jar: &impl ReadAt, list: &List) -> Option<Entry> {
    let mut at = 0;
    while at + LISTED_BYTES as u64 <= list.length {
        let mut head = [0; LISTED_BYTES + NAME.len()];
        let here = usize::try_from(list.length - at).unwrap_or(usize::MAX).min(head.len());
        let head = head.get_mut(..here)?;
        jar.read_exact_at(head, list.offset + at).ok()?;
        if head.get(..4)? != b"PK\x01\x02" {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|field| u16_at(head, field));
        let name = name?;
        if usize::from(name) == NAME.len() && head.get(LISTED_BYTES..)?.eq_ignore_ascii_case(NAME) {
            let (packed, offset) = (u32_at(head, 20)?.into(), u32_at(head, 42)?.into());
            return Some(Entry { method: u16_at(head, 10)?, packed, offset });
        }
        at += LISTED_BYTES as u64 + u64::from(name) + u64::from(extra?) + u64::from(comment?);
    }
    None
}

/// The manifest, or its beginning.
fn unpack(jar: &impl ReadAt, list: &List, entry: &Entry) -> Option<Vec<u8>> {
    let mut head = [0; LOCAL_BYTES];
    let offset = list.prefix + entry.offset;
    jar.read_exact_at(&mut head, offset).ok()?;
    if head.get(..4)? != b"PK\x03\x04" {
        return None;
    }
    let skipped = u64::from(u16_at(&head, 26)?) + u64::from(u16_at(&head, 28)?);
    let packed = usize::try_from(entry.packed).ok()?.min(JAR_MANIFEST_BYTES);
    let mut bytes = vec![0; packed];
    jar.read_exact_at(&mut bytes, offset + LOCAL_BYTES as u64 + skipped).ok()?;
    match entry.method {
        0 => Some(bytes),
        // What came before the bound or a fault is as good: the attributes looked for stand at the top.
        8 => Some(
            decompress_to_vec_with_limit(&bytes, JAR_MANIFEST_BYTES).unwrap_or_else(|broken| broken.output),
        ),
        _ => None,
    }
}

/// The value of a main attribute: `Name: value`, lines that begin with a space continue the one before.
fn attribute(manifest: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(manifest);
    let mut value: Option<String> = None;
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        match (&mut value, line.strip_prefix(' ')) {
            (Some(value), Some(more)) => value.push_str(more),
            (Some(_), None) => break,
            (None, _) => {
                let found = line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name));
                value = found.map(|(_, rest)| rest.to_owned());
            }
        }
    }
    let value = value?.trim().to_owned();
    let fits =
        !value.is_empty() && value.len() <= MANIFEST_TEXT_BYTES_MAX && !value.contains(char::is_control);
    fits.then_some(value)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use miniz_oxide::deflate::compress_to_vec;
    use proptest::prelude::*;

    use super::*;

    impl ReadAt for &[u8] {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let from = usize::try_from(offset).ok().and_then(|from| self.get(from..)?.get(..buffer.len()));
            buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    /// How an entry is packed.
    #[derive(Clone, Copy)]
    enum Packing {
        Stored,
        Deflated,
    }

    /// A JAR with these entries.
    fn jar(entries: &[(&str, &[u8])], packing: Packing) -> Vec<u8> {
        let (mut file, mut list) = (Vec::new(), Vec::new());
        for (name, content) in entries {
            let (method, packed) = match packing {
                Packing::Stored => (0u16, content.to_vec()),
                Packing::Deflated => (8, compress_to_vec(content, 6)),
            };
            let offset = file.len() as u32;
            let mut common = vec![20, 0, 0, 0];
            common.extend(method.to_le_bytes());
            common.extend([0; 8]);
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
            let rest = [&[0; 10][..], &offset.to_le_bytes()].concat();
            list.extend([b"PK\x01\x02\x14\0", &common[..], &rest, name.as_bytes()].concat());
        }
        let count = (entries.len() as u16).to_le_bytes();
        let (length, offset) = ((list.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes());
        let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &offset, &[0, 0]].concat();
        [file, list, end].concat()
    }

    /// A JAR of a connector bundle, as any build tool would make it.
    pub(crate) fn bundle_jar(name: &str, version: &str) -> Vec<u8> {
        let text = format!(
            "Manifest-Version: 1.0\r\nConnectorBundle-FrameworkVersion: 1.5\r\nConnectorBundle-Name: {name}\r\n\
             ConnectorBundle-Version: {version}\r\n\r\nName: a/B.class\r\nConnectorBundle-Version: 9\r\n"
        );
        let entries =
            [("META-INF/", &b""[..]), ("META-INF/MANIFEST.MF", text.as_bytes()), ("a/B.class", b"class")];
        jar(&entries, Packing::Deflated)
    }

    fn read(bytes: &[u8]) -> Option<(String, String)> {
        bundle(&bytes, bytes.len() as u64).map(|bundle| (bundle.name, bundle.version))
    }

    fn of_manifest(text: &str) -> Option<(String, String)> {
        read(&jar(&[("META-INF/MANIFEST.MF", text.as_bytes())], Packing::Stored))
    }

    #[test]
    fn a_bundle_is_known_by_its_manifest() {
        let expected = Some(("org.example.csv".to_owned(), "1.5.20.30".to_owned()));
        let plain = bundle_jar("org.example.csv", "1.5.20.30");
        assert_eq!(read(&plain), expected);
        let prefixed = [&b"#!/bin/sh\n"[..], &plain].concat();
        assert_eq!(read(&prefixed), expected, "offsets do not count what stands before");
        let long = "ConnectorBundle-Name: org.exam\n ple.\n csv\nconnectorbundle-version: 1.5.20.30\n";
        assert_eq!(of_manifest(long), expected, "lines continue, names have no case");
        let signed = format!("{long}\n{}", "Name: x\nSHA-256-Digest: y\n\n".repeat(100_000));
        let signed = jar(&[("META-INF/MANIFEST.MF", signed.as_bytes())], Packing::Deflated);
        assert_eq!(read(&signed), expected, "the top of a long manifest is enough");
    }

    #[test]
    fn what_is_no_bundle_has_no_name() {
        for text in [
            "",
            "Manifest-Version: 1.0\n",
            "ConnectorBundle-Name: a\n",
            "ConnectorBundle-Name: a\n\nConnectorBundle-Version: 1\n",
            "ConnectorBundle-Name: a\nConnectorBundle-Version: \n",
            "ConnectorBundle-Name: a\u{1b}[2J\nConnectorBundle-Version: 1\n",
        ] {
            assert_eq!(of_manifest(text), None, "{text:?}");
        }
        let long = format!("ConnectorBundle-Name: {}\nConnectorBundle-Version: 1\n", "a".repeat(257));
        assert_eq!(of_manifest(&long), None);
        assert_eq!(read(b""), None);
        assert_eq!(read(b"print 'hello'"), None);
        assert_eq!(read(&jar(&[("a", b"b")], Packing::Deflated)), None);
    }

    /// A small file that unpacks to a gigabyte, and one that claims a list of four.
    #[test]
    fn claims_cost_nothing() {
        let bomb = jar(&[("META-INF/MANIFEST.MF", &vec![b'a'; 64 << 20])], Packing::Deflated);
        let mut claims = bundle_jar("a", "1");
        let end = claims.len() - END_BYTES;
        claims[end + 12..end + 16].copy_from_slice(&[0xff; 4]);
        for bytes in [bomb, claims] {
            let used = allocation_counter::measure(|| assert_eq!(read(&bytes), None)).bytes_max;
            assert!(used < 1 << 20, "{used} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_change_of_a_jar_is_survived(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut bytes = bundle_jar("a", "1");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(&bytes);
            let cut = cut.index(bytes.len());
            let _ = read(&bytes[..cut]);
        }
    }
}
