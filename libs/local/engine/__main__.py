import sys

from libs.local.engine.command import main

sys.exit(main(sys.argv[1:]))
