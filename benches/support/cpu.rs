//! CPU time, user and system together, as the kernel counts it, and legs that have a process of their own for its sake.

use std::fs;
use std::process::{Command, Stdio};

/// What this process was started for, where it is one leg of its bench: the words behind `leg`.
pub fn leg() -> Option<Vec<String>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "leg");
    arguments.next().map(|_| arguments.collect())
}

/// Runs a leg in a process of its own, and returns the numbers that it prints; a failure ends the bench.
pub fn child<const N: usize>(words: &[&str]) -> [f64; N] {
    let program = std::env::current_exe().expect("a process knows its program");
    let output = Command::new(program)
        .args(["--bench", "leg"])
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("the bench starts again");
    assert!(output.status.success(), "leg {words:?}: {}", output.status);
    let printed = String::from_utf8(output.stdout).expect("text");
    let numbers: Vec<f64> = printed
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect();
    numbers.try_into().expect("as many numbers as asked for")
}

/// Seconds that ended child processes used so far.
pub fn children_cpu() -> f64 {
    ticks(13)
}

/// Seconds that this process used so far.
pub fn own_cpu() -> f64 {
    ticks(11)
}

/// Two fields of `/proc/self/stat`, counted from behind the command's name.
fn ticks(from: usize) -> f64 {
    let stat =
        fs::read_to_string("/proc/self/stat").expect("needs Linux: CPU time is read from /proc");
    let (_, fields) = stat
        .rsplit_once(") ")
        .expect("the command's name is in brackets");
    let fields = fields.split(' ').skip(from).take(2);
    let ticks: f64 = fields
        .map(|ticks| ticks.parse::<f64>().expect("a number of ticks"))
        .sum();
    // USER_HZ: 100 on every platform that Linux runs on.
    ticks / 100.0
}
