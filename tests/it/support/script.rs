//! Which reply is sent when: by SKU and attempt, or by the number of the request.

use std::collections::HashMap;

use super::{Reply, Seen};

type Handler = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// Replies in order. What nothing else is said of is answered by [`Reply::echo`].
pub struct Script {
    first: Vec<Reply>,
    by_sku: HashMap<String, Vec<Reply>>,
    otherwise: Handler,
}

impl Script {
    /// Echoes all.
    pub fn new() -> Self {
        Self { first: Vec::new(), by_sku: HashMap::new(), otherwise: Box::new(Reply::echo) }
    }

    /// The replies to the attempts at one SKU; the last of them is repeated.
    pub fn for_sku(mut self, sku: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<_> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "no reply for {sku}");
        self.by_sku.insert(sku.to_owned(), replies);
        self
    }

    /// The replies to the first requests of all, whatever their target.
    pub fn first(mut self, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.first.extend(replies);
        self
    }

    /// The reply to all others.
    pub fn otherwise(mut self, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        self.otherwise = Box::new(handler);
        self
    }

    /// The reply to this request.
    pub fn reply(&self, seen: &Seen) -> Reply {
        if let Some(reply) = self.first.get(seen.number) {
            return reply.clone();
        }
        match self.by_sku.get(&seen.sku) {
            Some(replies) => replies[(seen.attempt - 1).min(replies.len() - 1)].clone(),
            None => (self.otherwise)(seen),
        }
    }
}
