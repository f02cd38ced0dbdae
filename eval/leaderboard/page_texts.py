"""The texts of the leaderboard's tabs, as Markdown without anything from outside."""

from __future__ import annotations

from soco_datasets.benchmarks.soco.benchmark import BENCHMARK

HEAD = """# SOCO leaderboard
Does this vision model understand object parts? **CC**: any point of the same concept. **SOC**: the same keypoint.
**Cross-SOC**: the same keypoint on another category. Values are PCK at 0.1, in percent. **LVLM**: questions for
vision-language models, right in all four orderings, in percent. Higher is better."""

ABOUT = f"""## What is measured
A model is frozen. For a point of a source image, the most similar patch of the target image is its answer; the answer
is a hit when it is nearer to a valid target than 0.1 times the longest side of the object's box. PCK is the share of
hits, averaged over pairs, then over categories. The protocol is the paper's: 800 px, last block, cosine similarity.
[Paper]({BENCHMARK.homepage}).

## How far a result was verified
- **rerun**: a maintainer drew images and forwarded them again with the named model, and the predictions came out; the
  table says by whom, when and how many.
- **consistent**: the numbers follow from the predictions, and these can come from the stated protocol.
- **recomputed**: the numbers follow from the predictions.
- **claimed**: nothing was checked here; anyone can do it with `soco verify ORG/MODEL`.
- **proposed**: an open pull request on the model's repository.
- **from paper**: printed in the SOCO paper.
- **verified by the Hub**: the Hub marks it as verified.

Results that do not follow the protocol (another size, other data) are shown in gray, without a rank.

## Where the facts come from
Family, size, patch, license and Hub id are those of `soco models`; for models that it does not list, those that the
model's page on the Hub states. Sizes are those of the image encoder, rounded. `published` is the date of the result."""

SUBMIT = """## How to submit
```bash
pip install ".[models]"            # in a checkout of soco-datasets
export SOCO_LEADERBOARD=ORG/NAME   # the dataset repository of this leaderboard
soco evaluate --model my-model --tasks cc,soc,cross_soc,soc_geo
soco submit results/my-model.json --model-repo me/my-model --dry-run   # prints what would be sent
soco submit results/my-model.json --model-repo me/my-model
```
The record and its predictions go to a public dataset repository of yours, pinned by hash; the numbers go to
`.eval_results` of the model's repository as a pull request. Nothing is uploaded to this page. A model that is not on
the Hub gets a repository that only describes it (`--create-model-repo`)."""

CITE = f"""## Cite
```bibtex
{BENCHMARK.citation.strip()}
```"""
