"""Deep Koalarization's encoder, as the paper's table 1 has it."""

# filters, stride
ENCODER = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 1), (256, 1))
