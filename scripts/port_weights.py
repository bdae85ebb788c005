"""`jaxcolor port`, from a clone: published weights of a backbone into the file that jaxcolor reads.

python scripts/port_weights.py NAME [--source FILE] [--out FILE] [--verify]
"""

from jaxcolor.porting.command import port

if __name__ == "__main__":
    port()
