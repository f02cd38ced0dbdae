"""Images to dense feature maps: geometry, preprocessing, backbones, extraction, the feature store."""
