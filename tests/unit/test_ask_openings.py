"""What persons write who begin, by chance, as a client's template does: it is their ask."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.helpers import is_helper

MESSAGES = """\
Summarize our conversation above in a table with the medication, the dose and how often I have to take it.
====
You are a grader at a law school. Does this answer deserve full marks: a contract needs consideration?
====
Your task is to judge whether a landlord may raise the rent in the middle of a lease.
====
Look at the input and output of this Python function and tell me why it fails for empty lists.
====
Available tools in my garage are a drill and a saw, how do I build a shelf with them?
====
Act as a title generator for my blog posts about React hooks, and write three of them.
====
Look at the input and output of this function. Why does it fail for empty lists?

```python
def first(xs):
    return xs[0]
```

Input: []
Output: IndexError
====
Look at the input and output below and tell me what is wrong:

Input: 1 2 3
Output: 7

It must be 6, and I only add them up.
====
Look at the imput and the schema, then write the SQL that returns only the rows of 2024 in JSON format.
====
Available tools: drill, saw, hammer. Available wood: two boards of oak. What can I build in an afternoon?
====
Available tools for static analysis of C: which ones find use after free, and return few false positives?
====
You are a teacher grading maths tests. Does 7/8 for the sum of 1/2 and 3/8 deserve full marks, and why?
====
You are a teacher grading my essay on the causes of the French Revolution, what would you mark me down for?
====
You are a grader.

Grade my essay on photosynthesis from one to ten, and say what I should change:

Plants eat light.
====
You are a grader of diamonds: what do the letters D to Z for the colour mean, exactly?
====
You are a text analyzer for a law firm. Which clauses of a lease do tenants most often overlook?
====
You are an emoji expert, which one do I send to my grandmother for her eightieth birthday?
====
You are an expert classifier of mushrooms. Is one with a white ring and a bulb at its foot safe to eat?
====
You are an expert classifier of alpine mushrooms. Is a brown one with pores safe? Answer with one word, only yes or no.
====
You are a query rewriter for Postgres: make SELECT * FROM a WHERE id IN (SELECT a_id FROM b) faster.
====
You are a title generator for medical papers: name one on statins and muscle pain, at most ten words.
====
You are a supervisor tasked with managing a warehouse. How do you plan the shifts for the week of Christmas?
====
You are in a role play game. You are a knight and I am a dragon, what do you say when we meet?
====
You are a summarization AI? Then tell me what the GDPR says about the data of employees, please.
====
You are an AI language model assistant. Only answer in German, return no JSON: was ist ein Knochenbruch?
====
You are comparing responses to chemotherapy in two groups of patients: which test do I use for the survival?
====
You are a commit message generator for my repo, write one for a fix of the race in the queue's lock.
====
You are a knowledge graph specialist: do I model a drug's side effects as nodes or as edges in Neo4j?
====
Your task is to judge a cake. Mine has collapsed in the middle, so is the oven too hot or the dough too wet?
====
Your task is to judge if a nurse may give insulin without a doctor's order in an emergency.
====
Please summarize the conversation above with the doses of both drugs, I want to show it to my pharmacist.
====
Please summarize the above conversation in three points for my lawyer, who was not there.
====
pls sumarize our conversation above in a tabel with the dose and when i take it
====
Please act as an impartial judge: my flatmate eats my food and says that rent covers it. Who is right?
====
Please help me predict the side effects of taking ibuprofen and naproxen on one day.
====
Please suggest a reply to the following conversation with my landlord, who wants to keep the deposit.
====
Please write a brief title for a poster on sepsis in newborns that the ward can understand.
====
Please write a passage to answer the question why the sky is blue that my daughter of six understands.
====
Generate an enhanced version of my cover letter for a job as a nurse in a hospital's intensive care.
====
Generate a detailed summary of this conversation for my doctor, with all the symptoms that I named and when.
====
Generate a detailed prompt for a picture of a lighthouse in a storm, I want to print it for my kitchen.
====
Generate a title for this conversation between a nurse and a patient in my novel about a hospital in Leeds.
====
Create a summary of the conversation above with every deadline that the court has set and what I must file.
====
Check if there is unsafe content in the PDF that my son got from his school about chemistry at home.
====
Check if there is unsafe content in this Rust function: unsafe { *ptr.add(4) }, and is the pointer aligned?
====
Write 3 google search queries with which I find flats in Vienna that take dogs.
====
What would be a short and relevant title for my essay about bees and pesticides?
====
Some choices are given below: sertraline, citalopram, bupropion. Which of them makes people gain least weight?
====
Detect user language and write the greeting of my React app in it: how do I do that with i18next?
====
Convert the latest user question into a ticket in Jira: how do I do this with its REST API and Python?
====
Describe the above conversation in the words of Shakespeare, and let my boss be the villain.
====
Given the evaluation steps of our grant, how long will the committee of the university take to decide?
====
Given the following question and context from my law exam, is the answer C or D? An offer lapses when...
====
Propose three questions about a given piece of text? My pupils of year 8 have to, how do I teach them this?
====
Stop the roleplay now. I have chest pain for real, what do I do until the ambulance comes?
====
Use the set memory tool? What is that in the settings of ChatGPT, and does it keep my diagnosis?
====
Rephrase the user's question in my support macro so that it sounds friendlier: Why is my parcel late?
====
Suggest three very short stories about the sea for my son, at most ten minutes each.
====
Provide better search query for web search engine of our library: it has the field author, how do I filter?
====
This task involves researching a given topic, for me it is the Ottoman navy. Where do I find good sources?
====
Summarize our conversation above in a table with only the medication and the dose.
====
Your task is to judge whether this contract is valid. Answer with yes or no, and only one sentence.
====
Act as a title generator for my blog. Output only three titles in JSON format.
====
You are a title generator. I will give you the topic, you return exactly five titles. First topic: diabetes in children
====
You are a text analyzer. Tell me which of these clauses is void: only the number, in JSON format.
====
Suggest three very short names for a dog, only lower case, one per line.
====
Please classify the text provided by the user into spam or ham: how do I train that with sklearn?
"""

SYSTEM_PROMPTS = """\
You are an expert classifier of skin lesions who helps patients understand their diagnosis.
====
You are a text analyzer for a law firm, answer the partners' questions.
====
You are a grader at a law school. Return your answers in the format of the school, with a score.
====
You are a teacher grading homework in chemistry. Be concise, and answer only in English.
====
You are an AI language model assistant. Only answer what is asked, in one line, and do not include links.
====
You are a knowledge graph specialist at a hospital. Answer questions in Markdown format only.
====
You are an emoji expert of a shop for stickers.
Be friendly.
Return at most three of them, in JSON.
====
Available tools: search, calculator. Answer the customer's questions about insurance, at most in five lines.
"""


@pytest.mark.parametrize("text", MESSAGES.strip().split("\n====\n"))
def test_a_person_may_begin_as_a_template_does(text: str) -> None:
    assert not is_helper(text, "")


@pytest.mark.parametrize("system", SYSTEM_PROMPTS.strip().split("\n====\n"))
def test_an_applications_system_prompt_may_begin_as_a_template_does(system: str) -> None:
    assert not is_helper("Why does this mole itch at night?", system)
