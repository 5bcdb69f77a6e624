//! Settings are taken from where they should be, and every mistake in them is told with its place.

use std::fs;

use super::*;

/// What loading says, with this text in the file: the faults, or `""`.
fn faults(text: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logpipe.toml");
    fs::write(&path, text).unwrap();
    let loaded = Config::loader().file(&path).environment(NOTHING).load();
    let told = loaded
        .err()
        .map_or(String::new(), |faults| faults.to_string());
    told.replace(&format!("{}", path.display()), "logpipe.toml")
}

const NOTHING: [(&str, &str); 0] = [];

#[test]
fn the_nearest_word_wins_and_says_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logpipe.toml");
    let text =
        "[log]\ndir = 'file'\n\n[producer]\nid = 'file'\n[consumer]\nattempts = 2\nwindow = 3\n";
    fs::write(&path, text).unwrap();
    let mut defaults = Config::default();
    defaults.producer.id = "code".into();
    defaults.producer.format = Format::Msgpack;
    defaults.store.path = "code".into();

    let loaded = Config::loader()
        .defaults(defaults)
        .file(&path)
        .environment([
            ("LOGPIPE_PRODUCER_ID", "environment"),
            ("LOGPIPE_CONSUMER_WINDOW", "4"),
        ])
        .flag("consumer.window", "5")
        .load()
        .unwrap();

    let told = |key: &str| {
        let setting = loaded.settings.iter().find(|one| one.key.path() == key);
        let setting = setting.unwrap();
        (setting.value.clone(), setting.origin.clone())
    };
    let file = |line| Origin::File {
        path: path.clone(),
        line,
    };
    let environment = Origin::Environment("LOGPIPE_PRODUCER_ID".into());
    assert_eq!(told("log.backend"), ("local".into(), Origin::Default));
    assert_eq!(told("log.dir"), ("file".into(), file(2)));
    assert_eq!(told("producer.id"), ("environment".into(), environment));
    assert_eq!(told("producer.format"), ("msgpack".into(), Origin::Code));
    assert_eq!(told("store.path"), ("code".into(), Origin::Code));
    assert_eq!(told("consumer.attempts"), (2.into(), file(7)));
    assert_eq!(told("consumer.window"), (5.into(), Origin::Flag));
    assert_eq!(loaded.config.consumer.window.get(), 5);
    assert_eq!(loaded.config.store.path, Path::new("code"));
}

#[test]
fn mistakes_in_the_file_are_told_all_at_once_with_their_places() {
    let text = "[consmer]\nattempts = 1\n\n[consumer]\natempts = 1\nwindow = 'a'\n  start = 5\n[log]\nbackend = 'lokal'\n";
    assert_eq!(
        faults(text),
        "logpipe.toml:1:2: unknown section `consmer`; did you mean `consumer`?\n\
         logpipe.toml:5:1: unknown key `atempts` in [consumer]; did you mean `attempts`?\n\
         logpipe.toml:6:10: `consumer.window` takes a whole number from 1 to 4294967295, not text\n\
         logpipe.toml:7:11: `consumer.start` takes text, not a number\n\
         logpipe.toml:9:11: `log.backend` takes `local`, `memory`, `kafka` or `kinesis`, not this word; did you mean `local`?"
    );
}

#[test]
fn each_mistake_has_its_words() {
    let table = [
        ("", ""),
        ("# nothing\n", ""),
        ("\u{feff}[log]\n", ""),
        (
            "[log]\ndir = 1",
            "logpipe.toml:2:7: `log.dir` takes text, not a number",
        ),
        (
            "[log]\ndir = ['a']",
            "logpipe.toml:2:7: `log.dir` takes text, not a list",
        ),
        (
            "[log.dir]\na = 1",
            "logpipe.toml:1:1: `log.dir` takes text, not a table",
        ),
        (
            "log = 1",
            "logpipe.toml:1:1: `log` is a section; write `[log]`",
        ),
        (
            "[[log]]",
            "logpipe.toml:1:3: `log` is a section; write `[log]`",
        ),
        (
            "[é]\n",
            "logpipe.toml:1:2: invalid unquoted key, expected letters, numbers, `-`, `_`",
        ),
        (
            "['a\u{202e}b']",
            "logpipe.toml:1:2: unknown section `a\\u{202e}b`; there are `consumer`, `kafka`, `kinesis`, `log`, `producer` and `store`",
        ),
        (
            "[consumer]\nattempts = 0",
            "logpipe.toml:2:12: `consumer.attempts` takes a whole number from 1 to 4294967295, not this number",
        ),
        (
            "[consumer]\nattempts = 99999999999999999999999",
            "logpipe.toml:2:12: `consumer.attempts` takes a whole number from 1 to 4294967295, not text",
        ),
        (
            "[consumer]\nattempts = 1.5",
            "logpipe.toml:2:12: `consumer.attempts` takes a whole number from 1 to 4294967295, not a number with a fraction",
        ),
        (
            "[consumer]\nmin_lag_ms = -1",
            "logpipe.toml:2:14: `consumer.min_lag_ms` takes a whole number, at least 0, not this number",
        ),
        (
            "[consumer]\nstart = 'yesterday'",
            "logpipe.toml:2:9: `consumer.start`: this is none of `earliest`, `latest` or a time with its offset",
        ),
        ("[consumer]\nstart = 2024-01-02T03:04:05Z", ""),
        ("[consumer]\nidle_timeout_ms = 5", ""),
        (
            "[consumer]\norder = 'none'\non_gap = 'latest'\non_failed = 'hold'",
            "",
        ),
        (
            "[consumer]\non_failed = 'parc'",
            "logpipe.toml:2:13: `consumer.on_failed` takes `hold`, `park`, `skip` or `stop`, not this word; did you mean `park`?",
        ),
        (
            "[kafka.client]\nsasl.password = ['hunter2']",
            "logpipe.toml:2:17: `kafka.client.sasl.password` takes text, which is kept secret, not a list",
        ),
        (
            "[kafka.client]\n'sasl.password' = '***'",
            "logpipe.toml:2:19: `kafka.client.sasl.password`: `***` stands for a secret and is not one",
        ),
        (
            "[kafka]\nclient = 'a'",
            "logpipe.toml:2:10: `kafka.client` takes a table, not text",
        ),
        (
            "[consumer]\norder = 'keys'",
            "logpipe.toml:2:9: `consumer.order` takes `key` or `none`, not this word; did you mean `key`?",
        ),
    ];
    for (text, told) in table {
        assert_eq!(faults(text), told, "{text}");
    }
}

#[test]
fn a_hostile_file_is_refused_in_bounded_time_and_depth() {
    let deep = format!("[log]\ndir = {}", "[".repeat(100_000));
    let dotted = format!("{} = 1", vec!["a"; 100_000].join("."));
    let long = format!("[log]\n{} = 1", "k".repeat(900_000));
    let many: String = (0..50_000).map(|n| format!("k{n}=1\n")).collect();
    let hostile: [&[u8]; 7] = [
        deep.as_bytes(),
        dotted.as_bytes(),
        long.as_bytes(),
        many.as_bytes(),
        b"[log]\n[log]\n",
        b"[log]\ndir = '\xff'",
        b"\0\0\0",
    ];
    for text in hostile {
        let told = faults(text);
        let start = String::from_utf8_lossy(&text[..text.len().min(20)]);
        assert!(told.starts_with("logpipe.toml"), "{start}: {told}");
        assert!(told.lines().all(|line| line.len() < 1000), "{start}");
    }
    assert!(faults(vec![b'#'; 2 << 20]).contains("larger than 1 MiB"));

    let folder = tempfile::tempdir().unwrap();
    let at = |path: &Path| {
        Config::loader()
            .file(path)
            .environment(NOTHING)
            .load()
            .unwrap_err()
    };
    assert!(at(folder.path()).to_string().ends_with(": is not a file"));
    assert!(
        at(&folder.path().join("absent"))
            .to_string()
            .ends_with(": there is no such file")
    );
}

#[test]
fn variables_and_flags_are_read_by_their_key() {
    let load = |name: &str, value: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("empty.toml");
        fs::write(&file, "").unwrap();
        let loader = Config::loader().file(file).environment([(name, value)]);
        loader
            .load()
            .err()
            .map_or(String::new(), |faults| faults.to_string())
    };
    let table = [
        ("LOGPIPE_LOG_DIR", "5", ""),
        ("LOGPIPE_CONSUMER_START", "2024-01-02T03:04:05+01:00", ""),
        (
            "LOGPIPE_CONSUMER_ATTEMPTS",
            "",
            "`consumer.attempts` takes a whole number from 1 to 4294967295, not this",
        ),
        (
            "LOGPIPE_CONSUMER_ATTEMPTS",
            "0",
            "`consumer.attempts` takes a whole number from 1 to 4294967295, not this number",
        ),
        (
            "LOGPIPE_PRODUCER_FORMAT",
            "xml",
            "`producer.format` takes `json` or `msgpack`, not this word",
        ),
        (
            "LOGPIPE_LOG_DIRR",
            "a",
            "this variable sets nothing; did you mean `LOGPIPE_LOG_DIR`?",
        ),
        (
            "LOGPIPE_CONSMER_WINDOW",
            "1",
            "this variable sets nothing; did you mean `LOGPIPE_CONSUMER_WINDOW`?",
        ),
        ("LOGPIPE_LOG_SERVICE_HOST", "10.0.0.1", ""),
        ("LOGPIPE_PORT", "tcp://10.0.0.1:80", ""),
        ("LOGPIPE_LOCKED", "1", ""),
        ("PATH", "/bin", ""),
    ];
    for (name, value, told) in table {
        let expected = if told.is_empty() {
            String::new()
        } else {
            format!("{name}: {told}")
        };
        assert_eq!(load(name, value), expected, "{name}={value}");
    }
    let flag = Config::loader()
        .environment(NOTHING)
        .flag("log.dirr", "a")
        .load();
    assert_eq!(
        flag.unwrap_err().to_string(),
        "flag: unknown key `log.dirr`; did you mean `log.dir`?"
    );
}

#[test]
fn settings_of_a_client_are_taken_from_everywhere_and_its_secrets_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logpipe.toml");
    // In both spellings: with quotes, and as TOML's nested tables.
    let text = "[kafka.client]\n'security.protocol' = 'SASL_SSL'\nsasl.username = 'joe'\nsasl.password = 'in file'\n\
                'linger.ms' = 5\n";
    fs::write(&path, text).unwrap();
    let mut defaults = Config::default();
    defaults.kafka.client.set("ssl.key.pem", "in code");
    defaults.kafka.client.set("linger.ms", "1");
    let loaded = Config::loader()
        .defaults(defaults)
        .file(&path)
        .environment([("LOGPIPE_KAFKA_CLIENT_SASL_PASSWORD", "in environment")])
        .flag("kafka.client.sasl.username", "jim")
        .load()
        .unwrap();

    let client: Vec<_> = loaded.config.kafka.client.reveal().collect();
    assert_eq!(
        client,
        [
            ("linger.ms", "5"),
            ("sasl.password", "in environment"),
            ("sasl.username", "jim"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.key.pem", "in code"),
        ]
    );
    let shown = loaded.settings.iter();
    let shown = shown.filter(|one| one.key.path().starts_with("kafka.client."));
    let shown = shown.map(|one| {
        let name = one.key.path()["kafka.client.".len()..].to_owned();
        let origin = one.origin.to_string();
        let origin = origin.rsplit('/').next().unwrap().to_owned();
        format!("{name} = {} from {origin}", one.value)
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "linger.ms = 5 from logpipe.toml:5",
            "sasl.password = \"***\" from LOGPIPE_KAFKA_CLIENT_SASL_PASSWORD",
            "sasl.username = \"jim\" from flag",
            "security.protocol = \"SASL_SSL\" from logpipe.toml:2",
            "ssl.key.pem = \"***\" from this program's default",
        ]
    );
    let told = format!(
        "{:?} {}",
        loaded.config,
        serde_json::to_string(&loaded.config).unwrap()
    );
    assert!(
        !told.contains("in code") && !told.contains("in environment"),
        "{told}"
    );
}

#[test]
fn an_address_is_never_shown_with_its_user() {
    let loaded = Config::loader()
        .environment(NOTHING)
        .flag("kinesis.endpoint_url", "http://jim:hunter2@127.0.0.1:4567")
        .load()
        .unwrap();
    let endpoint = loaded.config.kinesis.endpoint_url.as_deref();
    assert_eq!(endpoint, Some("http://jim:hunter2@127.0.0.1:4567"));
    let told = format!("{loaded:?}");
    assert!(told.contains("http://***@127.0.0.1:4567"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn the_schema_for_editors_is_fresh() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/logpipe.schema.json"
    );
    assert!(
        fs::read_to_string(path).unwrap_or_default() == schema(),
        "docs/logpipe.schema.json is stale; write it again: cargo run -p logpipe-cli -- config schema > docs/logpipe.schema.json"
    );
}

#[test]
fn every_key_has_documentation_and_a_default_that_it_takes() {
    for key in keys() {
        assert!(!key.docs.is_empty(), "{}", key.path());
        key.check(&key.default)
            .unwrap_or_else(|wrong| panic!("{}", wrong.at(key.path())));
    }
}

#[test]
fn what_a_consumer_is_built_with_is_what_was_set() {
    let defaults = consumer::Consumer::default();
    assert_eq!(defaults.settings(), crate::consumer::Settings::default());
    let loaded = Config::loader()
        .environment(NOTHING)
        .flag("consumer.attempts", "2")
        .flag("consumer.on_invalid", "skip")
        .load()
        .unwrap();
    let settings = loaded.config.consumer.settings();
    assert_eq!(settings.retry.attempts, 2);
    assert_eq!(settings.policies.on_invalid, crate::Policy::Skip);
}

/// Code sets and leaves, the program has a default and has none, whoever operates it speaks and is silent.
#[test]
fn whoever_operates_goes_before_code_and_code_before_defaults() {
    let mut defaults = Config::default();
    defaults.consumer.on_invalid = crate::Policy::Stop;
    defaults.consumer.on_retired = crate::Policy::Stop;
    let loaded = Config::loader()
        .defaults(defaults)
        .environment(NOTHING)
        .flag("consumer.on_unknown_type", "park")
        .flag("consumer.window", "1024")
        .load()
        .unwrap();
    let mut settings = crate::consumer::Settings::default();
    settings.policies.on_unknown_type = crate::Policy::Skip;
    settings.policies.on_invalid = crate::Policy::Skip;
    settings.window = 7;
    settings.run = 7;
    loaded.config.consumer.lay(&mut settings);
    let policies = &settings.policies;
    assert_eq!(
        policies.on_unknown_type,
        crate::Policy::Park,
        "a flag, over code"
    );
    assert_eq!(
        policies.on_invalid,
        crate::Policy::Skip,
        "code, over a default"
    );
    assert_eq!(
        policies.on_retired,
        crate::Policy::Stop,
        "the program's default"
    );
    assert_eq!(policies.on_tombstone, crate::Policy::Park, "logpipe's");
    assert_eq!(
        (settings.window, settings.run),
        (1_024, 7),
        "a flag may say the default"
    );

    let elsewhere = ["buffer_bytes", "idle_timeout_ms", "start"];
    let mut seen_to: Vec<&str> = [consumer::LAID, &elsewhere].concat();
    seen_to.sort_unstable();
    let keys = keys();
    let of_consumers = keys.iter().filter(|key| key.section == "consumer");
    let mut of_consumers: Vec<&str> = of_consumers.map(|key| &*key.name).collect();
    of_consumers.sort_unstable();
    assert_eq!(seen_to, of_consumers, "every key has its place");
}
