"""Add a category of one's own: from a folder of photographs to a release that `soco build` reads.

`project` (the folder a person edits), `candidate_filters` (which photographs), `database` and `work` (an append-only
log of placements), `server` (the pages), `assignment` and `qualification` (who annotates what), `consensus`
and `agreement` (several people to one answer), `review`, `suggestions`, `interchange` (COCO, Label Studio, CSV) and
`release_export`.
Needs the extra `annotation`; `import soco_datasets` never imports this package.
"""
