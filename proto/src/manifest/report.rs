//! The JSON that carries a manifest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{
    Bundle, Content, Digest, FileEntry, FileManifest, ManifestError, Nonce, Oddity, Root, Shown, TextFault,
    check_text,
};
use crate::limits::{MANIFEST_BODY_BYTES_MAX, MANIFEST_FILES_MAX, MANIFEST_TEXT_BYTES_MAX};

/// What an agent says to a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The member beside which it runs: 1 to [`MANIFEST_TEXT_BYTES_MAX`] bytes, no control character.
    pub member: String,
    /// From the router's challenge.
    pub nonce: Nonce,
    /// The agent's program and version; bounded like `member`.
    pub agent: String,
    /// What it says of the files.
    pub set: ReportedSet,
}

/// Whole, or known by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedSet {
    /// All files.
    Whole(FileManifest),
    /// The files are those of the last whole report with this digest: a heartbeat.
    Unchanged(Digest),
}

impl ReportedSet {
    /// The digest of the files, either way.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Whole(manifest) => manifest.digest(),
            Self::Unchanged(digest) => *digest,
        }
    }
}

impl Report {
    /// The bytes to send.
    ///
    /// # Errors
    /// [`ReportError::TooLarge`], and [`ReportError::Text`] for a name of member or agent that no router takes.
    pub fn encode(&self) -> Result<Vec<u8>, ReportError> {
        self.check()?;
        let files = match &self.set {
            ReportedSet::Whole(manifest) => Some(manifest.files().iter().map(FileForm::of).collect()),
            ReportedSet::Unchanged(_) => None,
        };
        let form = SentForm {
            member: &self.member,
            nonce: self.nonce.to_string(),
            agent: &self.agent,
            digest: self.set.digest().to_string(),
            files,
        };
        let body = serde_json::to_vec(&form).expect("text and numbers are JSON");
        if body.len() > MANIFEST_BODY_BYTES_MAX {
            return Err(ReportError::TooLarge { bytes: body.len() });
        }
        Ok(body)
    }

    /// Reads what came. Needs memory of the order of the body, whatever stands in it.
    ///
    /// # Errors
    /// [`ReportError`]; nothing of a bad report is kept.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        if body.len() > MANIFEST_BODY_BYTES_MAX {
            return Err(ReportError::TooLarge { bytes: body.len() });
        }
        let form: ReceivedForm<'_> = serde_json::from_slice(body)
            .map_err(|error| ReportError::Json(Shown::new(&error.to_string())))?;
        let stated: Digest = form.digest.parse().map_err(|_| ReportError::Digest)?;
        let set = match form.files {
            None => ReportedSet::Unchanged(stated),
            Some(Files(files)) => {
                let manifest = FileManifest::of_sorted(files)?;
                if manifest.digest() != stated {
                    return Err(ReportError::OtherDigest { computed: manifest.digest() });
                }
                ReportedSet::Whole(manifest)
            }
        };
        let nonce = form.nonce.parse().map_err(|_| ReportError::Nonce)?;
        let report = Self { member: form.member.into_owned(), nonce, agent: form.agent.into_owned(), set };
        report.check()?;
        Ok(report)
    }

    fn check(&self) -> Result<(), ReportError> {
        for (field, text) in [("member", &self.member), ("agent", &self.agent)] {
            check_text(text, MANIFEST_TEXT_BYTES_MAX).map_err(|fault| ReportError::Text { field, fault })?;
        }
        Ok(())
    }
}

/// The answer to a request for a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Good for one report, and for a short time.
    pub nonce: Nonce,
}

impl Challenge {
    /// As JSON.
    pub fn encode(&self) -> String {
        format!(r#"{{"nonce":"{}"}}"#, self.nonce)
    }

    /// Reads a router's answer. Fields that are not known do not matter here.
    ///
    /// # Errors
    /// [`ReportError::Json`] and [`ReportError::Nonce`].
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        #[derive(Deserialize)]
        struct Form<'a> {
            #[serde(borrow)]
            nonce: Cow<'a, str>,
        }
        let form: Form<'_> = serde_json::from_slice(body).map_err(|error| json_error(&error))?;
        Ok(Self { nonce: form.nonce.parse().map_err(|_| ReportError::Nonce)? })
    }
}

/// A manifest as JSON for people and scripts, indented: the fields of a [`Report`] without its nonce.
pub fn listing(manifest: &FileManifest, member: Option<&str>, agent: &str) -> String {
    #[derive(Serialize)]
    struct Form<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<&'a str>,
        agent: &'a str,
        digest: String,
        files: Vec<FileForm<'a>>,
    }
    let files = manifest.files().iter().map(FileForm::of).collect();
    let form = Form { member, agent, digest: manifest.digest().to_string(), files };
    serde_json::to_string_pretty(&form).expect("text and numbers are JSON")
}

/// Why bytes are no report. The texts may be shown to the reporter and in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// More than [`MANIFEST_BODY_BYTES_MAX`].
    #[error("the report has {bytes} bytes, but at most {MANIFEST_BODY_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is no JSON, or has other fields.
    #[error("the report is not JSON of the expected form: {0}")]
    Json(Shown),
    /// `digest` is none.
    #[error("`digest` must be a SHA-256 in 64 digits of 0-9 and a-f")]
    Digest,
    /// `digest` is not that of the files.
    #[error("`digest` does not match the listed files, whose digest is {computed}")]
    OtherDigest {
        /// The right one.
        computed: Digest,
    },
    /// `nonce` is none.
    #[error("`nonce` must be the nonce of the challenge, 32 digits of 0-9 and a-f")]
    Nonce,
    /// A name that cannot be.
    #[error("`{field}` {fault}")]
    Text {
        /// Of what.
        field: &'static str,
        /// What is wrong.
        fault: TextFault,
    },
    /// The files make no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

fn json_error(error: &serde_json::Error) -> ReportError {
    ReportError::Json(Shown::new(&error.to_string()))
}

#[derive(Serialize)]
struct SentForm<'a> {
    member: &'a str,
    nonce: String,
    agent: &'a str,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileForm<'a>>>,
}

// What a router does not know it must not pass over: a newer agent could mean by it that the files differ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceivedForm<'a> {
    #[serde(borrow)]
    member: Cow<'a, str>,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
    #[serde(borrow)]
    agent: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(default)]
    files: Option<Files>,
}

/// One entry of `files`. `sha256` and `bytes` stand together; `odd` stands for both.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm<'a> {
    #[serde(borrow)]
    root: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    odd: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    bundle: Option<BundleForm<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    link: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleForm<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

impl<'a> FileForm<'a> {
    fn of(file: &'a FileEntry) -> Self {
        let (sha256, bytes, odd) = match file.content {
            Content::File { sha256, bytes } => (Some(Cow::Owned(sha256.to_string())), Some(bytes), None),
            Content::Odd(oddity) => (None, None, Some(Cow::Borrowed(oddity.name()))),
        };
        let bundle = |bundle: &'a Bundle| BundleForm {
            name: Cow::Borrowed(&bundle.name),
            version: Cow::Borrowed(&bundle.version),
        };
        Self {
            root: Cow::Borrowed(file.root.name()),
            path: Cow::Borrowed(&file.path),
            sha256,
            bytes,
            odd,
            bundle: file.bundle.as_ref().map(bundle),
            link: file.link.as_deref().map(Cow::Borrowed),
        }
    }

    fn into_entry(self) -> Result<FileEntry, &'static str> {
        let root = [Root::Bundles, Root::Lib].into_iter().find(|root| root.name() == self.root);
        let content = match (self.sha256, self.bytes, self.odd) {
            (Some(sha256), Some(bytes), None) => {
                let sha256 = sha256.parse().map_err(|_| "`sha256` must have 64 digits of 0-9 and a-f")?;
                Content::File { sha256, bytes }
            }
            (None, None, Some(odd)) => {
                let oddity = Oddity::ALL.into_iter().find(|oddity| oddity.name() == odd);
                Content::Odd(oddity.ok_or("`odd` must be dangling, loop, outside or special")?)
            }
            _ => return Err("a file has `sha256` and `bytes`, or `odd` and neither of them"),
        };
        Ok(FileEntry {
            root: root.ok_or("`root` must be bundles or lib")?,
            path: self.path.into_owned(),
            content,
            bundle: self
                .bundle
                .map(|b| Bundle { name: b.name.into_owned(), version: b.version.into_owned() }),
            link: self.link.map(Cow::into_owned),
        })
    }
}

/// The entries, as many as a manifest may have: the rest is refused while it is read.
struct Files(Vec<FileEntry>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FilesVisitor)
    }
}

struct FilesVisitor;

impl<'de> Visitor<'de> for FilesVisitor {
    type Value = Files;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Files, A::Error> {
        let mut files = Vec::new();
        while let Some(form) = list.next_element::<FileForm<'de>>()? {
            if files.len() == MANIFEST_FILES_MAX {
                return Err(de::Error::custom(ManifestError::TooManyFiles));
            }
            files.push(form.into_entry().map_err(de::Error::custom)?);
        }
        Ok(Files(files))
    }
}
