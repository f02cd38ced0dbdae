"""The Hub: publishing the data set and the metric, submissions, the leaderboard. Imports `huggingface_hub` lazily."""
