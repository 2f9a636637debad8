"""Pure functions on small tallies: no file, no clock, no orchestrator.

Who looks for something finds it under its question:

- What is judged? `panel` codes the frame and its labels, `cohorts` counts them by day and says when
  they are in, `goals` lays out what each metric must reach.
- How right is it? `intervals` and `tallies` are the limits and the sums, `accuracy` the estimates,
  `measuring` every day's of every strategy, `appeals` what appeals say beside them.
- Has it dropped? `bets` is the arithmetic of one label, `betting` replays those of a market from
  what `pooling` lays out, `fixed_bets` those of a sample of fixed size, `gates` and `delays` hold
  them back, `baseline` is what it was at first; `drift` adds up, `fleet` decides over all,
  `detecting` puts these together.
- What is said of it? `status` has the rules, `verdicts` replays them, `causes` and `suspecting` say
  why, `recovery` whether it is over, `harm` who is hurt; `wording` and `reporting` put it in words.
- How good are the reviewers? `agreement`, `crowd`, `label_noise`; `reviews` and `reviewing`.
- What to label next? `sampling` spreads, `power` foresees, `reference` is what is known,
  `foresight` what stays unprovable, `planning` the plan.
- Where should the cut be? `thresholds`, `recommending`; `pairing` and `backtest` try it out.

`judgement` is the entry point of the first four, each study the entry point of its own.
"""
