"""What runs in the SDK's own interpreter (Python 3.8, torch 2.0.1, PopTorch): this folder is all that it imports."""
