//! Rounds that alternate: what a round costs each of several legs, and the medians of the ratios round by round.

use std::time::Instant;

/// Legs that are measured in turn, so that a machine that changes its mood changes it for all of them. A round costs `N`
/// things, such as CPU and time.
pub struct Contest<'a, const N: usize = 1> {
    legs: Vec<Leg<'a, N>>,
}

struct Leg<'a, const N: usize> {
    name: String,
    round: Box<dyn FnMut() -> [f64; N] + 'a>,
}

impl<'a> Contest<'a> {
    /// Adds a leg that does something so many times; it costs nanoseconds each.
    #[must_use]
    pub fn timed(self, name: impl Into<String>, count: usize, mut once: impl FnMut() + 'a) -> Self {
        self.leg(name, move || {
            let start = Instant::now();
            // The loop is in here, so that the call through the box is paid once a round.
            (0..count).for_each(|_| once());
            [start.elapsed().as_secs_f64() * 1e9 / count as f64]
        })
    }
}

impl<'a, const N: usize> Contest<'a, N> {
    /// Nobody yet.
    pub fn new() -> Self {
        Self { legs: Vec::new() }
    }

    /// Adds a leg; a round returns what it cost: less is better.
    #[must_use]
    pub fn leg(mut self, name: impl Into<String>, round: impl FnMut() -> [f64; N] + 'a) -> Self {
        self.legs.push(Leg {
            name: name.into(),
            round: Box::new(round),
        });
        self
    }

    /// All legs in turn, forward and backward, after one round that warms up.
    pub fn run(mut self, rounds: usize) -> [Figures; N] {
        let mut costs: Vec<Vec<[f64; N]>> = vec![Vec::with_capacity(rounds); self.legs.len()];
        for leg in &mut self.legs {
            (leg.round)();
        }
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..self.legs.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for leg in order {
                costs[leg].push((self.legs[leg].round)());
            }
        }
        std::array::from_fn(|thing| Figures {
            names: self.legs.iter().map(|leg| leg.name.clone()).collect(),
            rounds: costs
                .iter()
                .map(|leg| leg.iter().map(|cost| cost[thing]).collect())
                .collect(),
        })
    }
}

/// What came out.
pub struct Figures {
    names: Vec<String>,
    /// For each leg, what every round cost.
    rounds: Vec<Vec<f64>>,
}

impl Figures {
    /// What a round of a leg costs.
    pub fn median(&self, leg: usize) -> f64 {
        median(self.rounds[leg].clone())
    }

    /// How often a leg fits into another one: quartiles of the ratios round by round, the median in the middle.
    pub fn ratio(&self, leg: usize, opponent: usize) -> [f64; 3] {
        let rounds = self.rounds[opponent].iter().zip(&self.rounds[leg]);
        let mut ratios: Vec<f64> = rounds.map(|(theirs, ours)| theirs / ours).collect();
        ratios.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| ratios[(ratios.len() * quarter / 4).min(ratios.len() - 1)])
    }

    /// Prints all legs against one of them, as a table and as JSON lines.
    pub fn print(&self, bench: &str, title: &str, unit: &str, opponent: usize) {
        let rounds = self.rounds[opponent].len();
        println!(
            "{title}: median of {rounds} alternating rounds; times as fast as \"{}\"",
            self.names[opponent]
        );
        println!("{:<44} {unit:>12} {:>8}   quartiles", "", "ratio");
        for (leg, name) in self.names.iter().enumerate() {
            let [low, ratio, high] = self.ratio(leg, opponent);
            let cost = self.median(leg);
            println!("{name:<44} {cost:>12.2} {ratio:>8.2}   {low:.2} to {high:.2}");
        }
        for (leg, name) in self.names.iter().enumerate() {
            let [low, ratio, high] = self.ratio(leg, opponent);
            println!(
                r#"{{"bench":"{bench}","name":"{name}","unit":"{unit}","median":{:.2},"ratio":{ratio:.3},"ratio_low":{low:.3},"ratio_high":{high:.3}}}"#,
                self.median(leg)
            );
        }
        println!();
    }
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
