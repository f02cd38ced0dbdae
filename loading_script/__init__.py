"""The dataset builder that `load_dataset("soco", ...)` runs. Installed as `soco_datasets.loading_script`."""
