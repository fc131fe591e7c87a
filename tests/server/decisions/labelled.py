"""A small labelled set: sentences with the answers that people give. It measures how far probabilities can be believed."""

from __future__ import annotations

from typing import Any

POSITIVE = """
The soup was hot and the staff could not have been kinder.
I have used this drill for two years and it still works like new.
Best concert I have been to in a long time.
The update fixed every problem I had.
My daughter loves this book and asks for it every night.
Check-in took two minutes and the room was spotless.
I was sceptical at first, but I would buy it again at once.
The film made me laugh until I cried.
Great value for the price.
They answered my mail within the hour and solved it.
The battery lasts for days, which I did not expect.
A wonderful little café with the best cake in town.
The teacher explains everything with patience.
It is not cheap, but worth every penny.
The seats were comfortable and the flight was on time.
Setup was easy, even for somebody like me.
The colours are even nicer than in the pictures.
I cannot praise the nurses enough.
It does exactly what it promises.
The sauce alone is a reason to come back.
We slept well and the breakfast was generous.
The new version is much faster.
I finished it in one evening and wanted more.
Delivery came a day early.
The guide knew every stone and made history alive.
Nothing to complain about, all went smoothly.
The shoes fitted right out of the box.
Five stars are not enough.
The garden is a delight in every season.
Finally a phone that does not slow down after a year.
"""

NEGATIVE = """
The soup was cold and the waiter rolled his eyes at us.
The drill broke on the second day.
We left during the break; the band was out of tune.
Since the update nothing works any more.
The book fell apart after a week.
We waited an hour for a room that smelled of smoke.
I wanted to like it, but I sent it back.
The film bored me to tears.
Far too expensive for what you get.
Nobody has answered my three mails.
The battery is empty by noon.
The cake was dry and the coffee burnt.
The teacher reads from the slides and answers nothing.
It was cheap, and that is the only good thing about it.
The seats were broken and the flight was five hours late.
After a whole afternoon I still could not set it up.
In the pictures it looks much nicer than it is.
The nurse forgot me in the corridor.
It does not do what the box says.
The sauce tasted of nothing at all.
We did not sleep for the noise, and breakfast was a dry roll.
The new version is slower than the old one.
I gave up after thirty pages.
It came two weeks late and open.
The guide looked at his phone all the time.
Everything that could go wrong went wrong.
The shoes hurt after ten minutes.
One star is one too many.
The garden is overgrown and full of rubbish.
After a year the phone is so slow that I want to throw it away.
"""

TICKETS = {
    "billing": """
My card was charged twice for the same order.
Why is there a fee of 4.99 on my invoice?
I was promised a refund a month ago and have not seen it.
Please send me the receipt for March.
My subscription renewed although I cancelled it; I want my money back.
The discount code was not taken off the price.
You have taken 50 euros more than the invoice says.
Can I pay by bank transfer instead of by card?
The amount on the bill is not the one I agreed to.
My payment was declined, but the money is gone.
""",
    "shipping": """
Where is my parcel? It should have come on Monday.
The tracking number does not work.
The courier left the box in the rain in front of the wrong house.
Can you deliver to another address?
My order has been in transit for three weeks.
The package was delivered to my neighbour, who has moved.
How long does delivery to Norway take?
Only one of the two boxes has arrived.
The driver did not ring and took the parcel back to the depot.
Has my order left the warehouse yet?
""",
    "technical": """
The app crashes whenever I open the camera.
I get error 500 when I upload a file.
The page stays white after the update.
Bluetooth drops the connection every few minutes.
The printer is not found on my network.
Since yesterday the search returns nothing.
The installation stops at 80 percent.
The sound is missing in all videos.
My screen flickers when the device is plugged in.
The export button does nothing in Safari.
""",
    "account": """
I have forgotten my password and the reset mail does not come.
Please change the name on my profile.
Somebody has logged in to my account from another country.
How do I delete my account?
I cannot log in with my new phone number.
Please merge my two accounts.
I want to turn on two-factor authentication.
My user name is taken, although it is mine.
Change my e-mail address, please, I have no access to the old one.
My account was locked after three attempts.
""",
}


def labelled() -> list[tuple[str, dict[str, Any], int]]:
    """Return inputs, each with its question and the place of the right option."""
    review = {"type": "predicate", "instructions": "The customer is satisfied."}
    team = {
        "type": "choice",
        "instructions": "Which department should handle this request?",
        "choices": [
            {"value": "billing", "description": "Payments, invoices, refunds."},
            {"value": "shipping", "description": "Parcels and delivery."},
            {"value": "technical", "description": "Software or devices that do not work."},
            {"value": "account", "description": "Log-in, passwords, personal data."},
        ],
    }
    cases = [
        (line, review, place) for place, text in enumerate((POSITIVE, NEGATIVE)) for line in text.split("\n") if line
    ]
    cases += [(line, team, place) for place, text in enumerate(TICKETS.values()) for line in text.split("\n") if line]
    return cases
