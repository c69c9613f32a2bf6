from underthread import _launch

_launch.main()
