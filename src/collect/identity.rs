//! What makes two runs the same job, and their values comparable.

use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher13;

use crate::model::Fingerprint;

/// What makes two runs the same job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobIdentity {
    /// All of it, in bytes of a canonical form: template, method, key column, body, selection, shape.
    pub digest_input: Vec<u8>,
    /// The same in readable form, an object without secrets; part of the journal's first line.
    pub description: serde_json::Value,
    /// What decides about the values of a run, apart from their layout.
    pub provenance: Provenance,
}

/// What the values of an output were made by. Two runs that agree in it give comparable values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Stands for method, URL, key column, body and headers of the requests.
    pub request: String,
    /// `--select`, without secrets.
    pub select: String,
    /// `--body-as`.
    pub body_as: String,
    /// The conditions that say what an answer means, such as `--null-if`, each with its option; without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub meaning: String,
    /// `--next` and `--join`, each with its option, without secrets; empty where each answer is whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pages: String,
    /// `--columns`, without secrets. They are no part of the job: they are made of the bodies in its journal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub columns: String,
}

/// A job as files record it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedJob {
    /// Tells jobs apart; not meant to keep anything secret.
    pub(crate) digest: String,
    /// See [`JobIdentity::description`].
    pub(crate) description: serde_json::Value,
    /// See [`JobIdentity::provenance`].
    pub(crate) provenance: Provenance,
}

impl JobIdentity {
    /// Tells jobs apart; not meant to keep anything secret.
    pub(crate) fn digest(&self) -> String {
        let hash = SipHasher13::new().hash(&self.digest_input);
        Fingerprint(u128::from(hash.h1) << 64 | u128::from(hash.h2)).to_string()
    }

    /// The job as files record it.
    pub(crate) fn recorded(&self) -> RecordedJob {
        RecordedJob {
            digest: self.digest(),
            description: self.description.clone(),
            provenance: self.provenance.clone(),
        }
    }
}
