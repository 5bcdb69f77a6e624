//! The compiler's words: each mistake that a user can make, and what the build says of it.
//!
//! Compared are the missing item and our sentences, not rustc's layout, which moves with every toolchain.

use crate::project::Project;

/// A program with one mistake, and what has to stand in the error.
struct Mistake {
    name: &'static str,
    program: &'static str,
    words: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "handler_lacks_a_version",
        program: r#"
            struct App;
            impl person::Handler for App {
                async fn v1(&self, _: person::v1::Person, _: &mut Cx) -> logpipe::Result { Ok(()) }
            }
        "#,
        words: &["E0046", "missing: `v2`"],
    },
    Mistake {
        name: "closures_lack_a_version",
        program: r#"
            fn route() -> logpipe::Route {
                person::handler(person::Handlers { v1: async |_: person::v1::Person, _: &mut Cx| Ok(()) })
            }
        "#,
        words: &[
            "E0063",
            "missing field `v2` in initializer of `",
            "Handlers",
        ],
    },
    Mistake {
        name: "match_lacks_a_version",
        program: r#"
            fn version(any: person::Any) -> u32 {
                match any { person::Any::V1(_) => 1 }
            }
        "#,
        words: &["E0004", "Any::V2(_)` not covered"],
    },
    Mistake {
        name: "nobody_handles_a_type",
        program: r#"
            struct App;
            impl person::Handler for App {
                async fn v1(&self, _: person::v1::Person, _: &mut Cx) -> logpipe::Result { Ok(()) }
                async fn v2(&self, _: person::v2::Person, _: &mut Cx) -> logpipe::Result { Ok(()) }
            }
            fn routes() { let _: [logpipe::Route; 4] = nouns::every(App); }
        "#,
        words: &[
            "E0277",
            "`App` does not handle `place` messages",
            "one method per schema file: v1",
        ],
    },
    Mistake {
        name: "handler_needs_a_store",
        program: r#"
            struct App;
            impl place::Handler<Sqlite> for App {
                async fn v1(&self, _: place::v1::Place, _: &mut Cx<Sqlite>) -> logpipe::Result { Ok(()) }
            }
            fn consumer(log: &logpipe::Log) -> Consumer {
                Consumer::new(log.source("nouns")).register(place::handler::<Sqlite, _>(App))
            }
        "#,
        words: &["Route<Broker>", "Route<Sqlite>"],
    },
    Mistake {
        name: "transaction_without_a_store",
        program: r#"
            async fn handle(_: place::v1::Place, cx: &mut Cx) -> logpipe::Result {
                let _ = cx.tx();
                Ok(())
            }
        "#,
        words: &[
            "E0277",
            "this consumer keeps its positions in `Broker`, which has no transaction",
        ],
    },
    Mistake {
        name: "lossy_step_undecided",
        program: r#"
            fn route() -> logpipe::Route {
                person::latest(logpipe::Lossless, async |_: person::Latest, _: &mut Cx| Ok(()))
            }
        "#,
        words: &[
            "E0277",
            "`Lossless` does not say how an older `person` becomes the newest",
            "v1 -> v2 needs a decision: `email` (/properties/email)",
        ],
    },
    Mistake {
        name: "producer_names_an_absent_version",
        program: r#"
            async fn send(producer: logpipe::Producer, person: &person::v9::Person) { let _ = producer.send(person).await; }
        "#,
        words: &["E0433", "v9"],
    },
    Mistake {
        name: "closure_captures",
        program: r#"
            fn consumer(log: &logpipe::Log) -> Consumer {
                let seen = std::sync::atomic::AtomicU32::new(0);
                Consumer::new(log.source("nouns")).on(async move |_: place::v1::Place, _: &mut Cx| {
                    seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    Ok(())
                })
            }
        "#,
        words: &[
            "E0277",
            "can't handle `nouns::place::v1::Place` messages",
            "a closure that captures: hand its state in with `.on_with(state, ",
        ],
    },
    Mistake {
        name: "handler_stays_on_its_thread",
        program: r#"
            fn consumer(log: &logpipe::Log) -> Consumer {
                Consumer::new(log.source("nouns")).on(async |_: place::v1::Place, _: &mut Cx| {
                    let here = std::rc::Rc::new(());
                    std::future::ready(()).await;
                    drop(here);
                    Ok(())
                })
            }
        "#,
        // rustc points at the value and at the `await`, which no sentence of ours could.
        words: &[
            "future cannot be sent between threads safely",
            "used across an await",
            "std::rc::Rc",
        ],
    },
    Mistake {
        name: "rows_over_an_await",
        program: r#"
            struct App;
            impl place::Handler<Sqlite> for App {
                async fn v1(&self, _: place::v1::Place, cx: &mut Cx<Sqlite>) -> logpipe::Result {
                    let mut names = cx.tx().prepare("select name from places")?;
                    let mut rows = names.query([])?;
                    while let Some(row) = rows.next()? {
                        std::future::ready(()).await;
                    }
                    Ok(())
                }
            }
        "#,
        // Rustc's own: it names the value, which a sentence of ours could not. The way out stands at `Tx`.
        words: &[
            "future cannot be sent between threads safely",
            "has type `CachedStatement<'_>` which is not `Send`",
            "await occurs here, with `mut names` maybe used later",
        ],
    },
];

#[test]
fn every_mistake_is_named_in_our_words() {
    let project = Project::new("compiler");
    for Mistake { name, program, .. } in MISTAKES {
        let text = format!(
            "#![allow(unused)]\nuse logpipe::store::Sqlite;\nuse logpipe::{{Consumer, Cx}};\n\
             use nouns::{{order, person, place, thing}};\n{program}\nfn main() {{}}\n"
        );
        project.write(&format!("examples/{name}.rs"), &text);
    }
    project.cargo(&["check", "--lib"]).ok();
    for Mistake { name, words, .. } in MISTAKES {
        eprintln!("{name}");
        project
            .cargo(&["check", "--example", name])
            .fails_with(words);
    }
}
