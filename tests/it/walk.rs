//! A version appears, as README walks it: what fails, what is written, and what is not.

use crate::project::{Project, root};
use crate::readme;

/// Version 3 as a user would write it: version 2 and an optional nickname.
fn version_3(project: &Project) {
    let text = project.read("schemas/person.v2.json");
    let nickname =
        r#""nickname": { "type": "string", "description": "What friends say." }, "email""#;
    project.write(
        "schemas/person.v3.json",
        &text.replacen("\"email\"", nickname, 1),
    );
}

/// The method that version 3 asks for.
const V3: &str =
    "    async fn v3(&self, person: person::v3::Person, cx: &mut Cx<Sqlite>) -> Result {
        let person::v3::Person { uuid, first_name, last_name, email, .. } = person;
        self.v2(person::v2::Person { uuid, first_name, last_name, email }, cx).await
    }

    async fn deleted";

#[test]
fn a_version_that_nobody_handles_fails_the_build_until_it_is_handled() {
    let project = Project::new("appears");
    // Anew, digests too: a file whose digest alone is of an older generator is left as it is.
    std::fs::remove_dir_all(root().join("target/projects/appears/generated")).unwrap();
    project.cargo(&["build"]).ok();
    let before = project.generated();

    version_3(&project);
    let failed = project
        .cargo(&["build"])
        .fails_with(&["E0046", "missing: `v3`"]);
    readme::error_is_shown("cargo build", &failed);

    project.remove("schemas/person.v3.json");
    project.cargo(&["build"]).ok();
    assert_eq!(
        project.generated(),
        before,
        "generated/ is as it was, byte for byte"
    );

    version_3(&project);
    project.edit("src/handlers.rs", "    async fn deleted", V3);
    project.cargo(&["build"]).ok();
}

#[test]
fn after_a_build_that_wrote_the_next_one_is_fresh() {
    let project = Project::new("fresh");
    version_3(&project);
    project.edit("src/handlers.rs", "    async fn deleted", V3);
    project.cargo(&["build"]).ok();
    assert!(project.read("generated/person/v3.rs").contains("nickname"));
    let again = project.cargo(&["build", "--verbose"]).ok();
    let fresh = again
        .stderr
        .lines()
        .any(|line| line.trim_start().starts_with("Fresh nouns-fresh"));
    assert!(fresh, "cargo built again:\n{}", again.stderr);
}

#[test]
fn stale_output_is_an_error_where_it_is_locked() {
    let project = Project::new("locked");
    project
        .cargo_with(&["build"], &[("LOGPIPE_LOCKED", "1")])
        .ok();
    let before = project.generated();
    version_3(&project);
    project
        .cargo_with(&["build"], &[("LOGPIPE_LOCKED", "1")])
        .fails_with(&["generated/person/v3.rs", "logpipe generate"]);
    assert_eq!(project.generated(), before, "nothing was written");
}

#[test]
fn a_fault_in_a_schema_is_one_clean_line_and_keeps_what_was_generated() {
    let project = Project::new("fault");
    project.cargo(&["build"]).ok();
    let before = project.generated();
    project.edit(
        "schemas/place.v1.json",
        "\"minLength\": 1",
        "\"minLength\": -1",
    );
    project.edit(
        "schemas/person.v1.json",
        "\"required\": [\"uuid\"",
        "\"oneOf\": [], \"required\": [\"uuid\"",
    );
    let broken = project.cargo(&["build"]).fails_with(&[
        "schemas/person.v1.json:11:3: ",
        "schemas/place.v1.json:8:",
        "logpipe check",
    ]);
    for noise in [
        "panicked",
        "backtrace",
        "process didn't exit successfully",
        "--- stderr",
    ] {
        assert!(
            !broken.stderr.contains(noise),
            "{noise:?} in\n{}",
            broken.stderr
        );
    }
    assert_eq!(project.generated(), before, "the last good output stays");
}
