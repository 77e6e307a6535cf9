//! Counters.

use super::{Call, Reply, Run, checks};
use crate::error::Result;
use crate::message;
use crate::session::Session;
use crate::store::Addition;
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::CountBy;

message! {
    /// Adds to a counter. → `Counted`
    Count<'a>: Count {
        /// Encoded key.
        key: Blob<'a>,
        /// What to add; negative to subtract.
        amount: f64;
        /// Bounds of the result, and how to keep a counter that this creates.
        by: CountBy
    }
}

impl Run for Count<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let (key, addition) = (checks::key(&self.key)?, Addition::new(self.amount, &self.by)?);
        let counter = session.enter(call.handle, |state, _, now| state.count(key, &addition, now))??;
        let (value, remaining, created) = (counter.value, counter.remaining, counter.created);
        reply(Response::Counted { value, remaining, created });
        Ok(())
    }
}
