"""Vision-language models on SOCO: multiple-choice questions, runs and scores."""

from .answers import parse_answer

__all__ = ["parse_answer"]
