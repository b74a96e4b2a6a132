//! The findings as text or as one JSON object.

use serde::Serialize;

use super::facts::Facts;
use super::findings::Finding;
use crate::fail::Fail;
use crate::layout::{count, wrapped};

/// What was looked at and what was found.
#[derive(Serialize)]
pub(super) struct Report {
    mask: String,
    cores: usize,
    cores_of_host: usize,
    domains: usize,
    quota: Option<usize>,
    rank: Option<Rank>,
    findings: Vec<Finding>,
}

/// This process among the ranks of its host.
#[derive(Serialize)]
struct Rank {
    launcher: &'static str,
    local_rank: usize,
    ranks_on_host: usize,
    /// Of the other ranks, as far as they could be found.
    other_masks: Vec<String>,
}

impl Report {
    pub(super) fn new(facts: &Facts, findings: Vec<Finding>) -> Report {
        let rank = facts.ranks.as_ref().map(|ranks| Rank {
            launcher: ranks.launcher.name(),
            local_rank: ranks.own,
            ranks_on_host: ranks.count,
            other_masks: ranks.others.iter().map(ToString::to_string).collect(),
        });
        Report {
            mask: facts.mask.to_string(),
            cores: facts.cores_of(&facts.mask),
            cores_of_host: facts.host.cores().len(),
            domains: facts.host.domains().len(),
            quota: facts.quota,
            rank,
            findings,
        }
    }

    pub(super) fn is_well(&self) -> bool {
        !self.findings.iter().any(|finding| finding.costs)
    }

    pub(super) fn json(&self) -> Result<String, Fail> {
        let object =
            serde_json::to_string(self).map_err(|error| Fail::new(format!("cannot write the report: {error}")))?;
        Ok(object + "\n")
    }

    pub(super) fn text(&self, width: usize) -> String {
        let mut text = wrapped("host   ", &self.host(), width);
        if let Some(rank) = &self.rank {
            text.push_str(&wrapped("rank   ", &rank.text(), width));
        }
        for finding in &self.findings {
            text.push('\n');
            let head = if finding.costs { "COSTS  " } else { "note   " };
            text.push_str(&wrapped(head, &format!("{}: {}", finding.name, finding.what), width));
            text.push_str(&wrapped("       ", &finding.cost, width));
            for (launcher, way) in finding.mend.ways() {
                text.push_str(&wrapped(&format!("       {launcher:<14}"), way, width));
            }
        }
        text.push('\n');
        text.push_str(&self.verdict());
        text
    }

    fn host(&self) -> String {
        let quota = self.quota.map_or("no quota".to_owned(), |cpus| format!("a quota of {}", count(cpus, "CPU")));
        let domains = count(self.domains, "domain");
        let cores = count(self.cores_of_host, "core");
        format!("the mask {} allows {} of {cores} in {domains}, with {quota}", self.mask, self.cores)
    }

    fn verdict(&self) -> String {
        let costly = self.findings.iter().filter(|finding| finding.costs).count();
        match costly {
            0 => "all well\n".to_owned(),
            1 => "1 finding costs\n".to_owned(),
            many => format!("{many} findings cost\n"),
        }
    }
}

impl Rank {
    fn text(&self) -> String {
        let masks = match self.other_masks.as_slice() {
            [] if self.ranks_on_host > 1 => "; the masks of the others are not known".to_owned(),
            [] => String::new(),
            masks => format!("; others have {}", masks.join(" and ")),
        };
        format!("{} of {} on this host, started by {}{masks}", self.local_rank, self.ranks_on_host, self.launcher)
    }
}
