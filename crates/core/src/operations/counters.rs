//! Counters.

use super::{Call, Reply, Run, checks};
use crate::error::Result;
use crate::message;
use crate::session::Session;
use crate::store::{Addition, Counter};
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::CountBy;

message! {
    /// Adds to a counter. → `Counted`, or `Missing` where it was to be there and is not
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
        reply(match counter {
            Some(Counter { value, remaining, created }) => Response::Counted { value, remaining, created },
            None => Response::Missing,
        });
        Ok(())
    }
}
