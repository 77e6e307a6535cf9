//! The ways to bring each cause about: those that remove entries.

use super::ENTRY;
use super::way::{Way, way};
use crate::operations::batches::{MDelete, MGet};
use crate::operations::namespace::{Destroy, PurgeStale};
use crate::store::kernel::Cause::{Cleared, Evicted, Expired, Lapsed, Refused, Removed};
use crate::testing::text_key;
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::{Batch, Keep, NamespaceOptions};

pub(super) fn removed() -> Vec<Way> {
    vec![
        way("delete", &[(Removed, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.delete("a");
        }),
        way("delete of a stale entry", &[(Expired, "a", 1), (Removed, "a", 0)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            scene.delete("a");
        }),
        way("delete of nothing", &[(Removed, "a", 0)], |scene| {
            scene.listen();
            scene.delete("a");
        }),
        way("mDelete", &[(Removed, "a", 1), (Removed, "b", 0)], |scene| {
            scene.set("a");
            scene.listen();
            scene.user.ask(
                1,
                MDelete { keys: vec![Blob(&text_key("a")), Blob(&text_key("b"))], batch: Batch::default() },
            );
        }),
        way("getAndDelete", &[(Removed, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.get_and_delete("a");
        }),
        way("getAndDelete of nothing", &[(Removed, "a", 0)], |scene| {
            scene.listen();
            scene.get_and_delete("a");
        }),
    ]
}

pub(super) fn refused() -> Vec<Way> {
    let small = NamespaceOptions { max_entry_size: Some(ENTRY), ..Default::default() };
    vec![
        way("set of what is too large", &[(Refused, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            assert_eq!(scene.set_with("a", "too large", Keep::default()), Response::Flag(false));
        })
        .with(small),
        way("set of what is too large, over nothing", &[(Refused, "a", 0)], |scene| {
            scene.listen();
            scene.set_with("a", "too large", Keep::default());
        })
        .with(small),
        way("a load of what is too large", &[(Refused, "a", 1)], |scene| {
            scene.set("a");
            let token = scene.lead("a");
            scene.listen();
            scene.complete(token, "too large");
        })
        .with(small),
        way("what an empty table does not take", &[(Evicted, "b", 1), (Refused, "a", 0)], |scene| {
            scene.probe.bound(9);
            scene.set("b");
            scene.listen();
            scene.set_with("a", "too large", Keep::default());
        }),
        way("what does not fit in the place of the older value", &[(Refused, "a", 1)], |scene| {
            scene.probe.bound(9);
            scene.set("a");
            scene.listen();
            scene.set_with("a", "too large", Keep::default());
        }),
    ]
}

pub(super) fn lapsed() -> Vec<Way> {
    vec![
        way("set of what has expired", &[(Lapsed, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.set_with("a", "v", Keep { expires_at: Some(0.0), ..Keep::default() });
        }),
        way("set of what has expired, over nothing", &[(Lapsed, "a", 0)], |scene| {
            scene.listen();
            scene.set_with("a", "v", Keep { expires_at: Some(0.0), ..Keep::default() });
        }),
    ]
}

pub(super) fn cleared() -> Vec<Way> {
    vec![
        way("clear", &[(Cleared, "", 2)], |scene| {
            scene.set("a");
            scene.set("b");
            scene.listen();
            scene.clear(None);
        }),
        way("clear of nothing", &[(Cleared, "", 0)], |scene| {
            scene.listen();
            scene.clear(None);
        }),
        way("clear of a prefix", &[(Cleared, "a", 2)], |scene| {
            ["a1", "b1", "a2"].into_iter().for_each(|key| scene.set(key));
            scene.listen();
            scene.clear(Some("a"));
        }),
        way("clear of a prefix that no key has", &[(Cleared, "a", 0)], |scene| {
            scene.set("b");
            scene.listen();
            scene.clear(Some("a"));
        }),
        way("destroy", &[(Cleared, "", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.user.ask(1, Destroy {});
        }),
        way("the end of the store", &[(Cleared, "", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.store.end();
        }),
    ]
}

pub(super) fn expired() -> Vec<Way> {
    let purging = NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() };
    let stale = NamespaceOptions { allow_stale: Some(true), ..Default::default() };
    vec![
        way("get", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            assert_eq!(scene.get("a"), Response::Missing);
        }),
        way("get of a stale value", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            assert!(matches!(scene.get("a").response(), Response::Value(_)));
        })
        .with(stale),
        way("mGet", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.set("b");
            scene.listen();
            scene.user.ask(1, MGet { keys: vec![Blob(&text_key("a")), Blob(&text_key("b"))] });
        }),
        way("a read that a client has made by itself", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            scene.report_access("a");
        }),
        way("getAndDelete", &[(Expired, "a", 1), (Removed, "a", 0)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            scene.get_and_delete("a");
        }),
        way("purgeStale", &[(Expired, "a", 1), (Expired, "b", 1)], |scene| {
            scene.set_stale(&["a", "b"]);
            scene.set("c");
            scene.listen();
            scene.user.ask(1, PurgeStale {});
        }),
        way("a tick", &[(Expired, "a", 1), (Expired, "b", 1)], |scene| {
            scene.set_stale(&["a", "b"]);
            scene.set("c");
            scene.listen();
            scene.store.tick();
        })
        .with(purging),
    ]
}
