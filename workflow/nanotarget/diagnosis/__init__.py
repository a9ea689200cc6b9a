"""The four-part diagnosis: can nano-targeting pay, from calibration data alone?"""
